"""A hole of any shape, painted with Pillow: white is filled, the rest comes back as it was."""

from pathlib import Path

from PIL import Image, ImageChops, ImageDraw

from mmml import Client

photo = Image.open(Path(__file__).with_name("photo.jpg")).convert("RGB")
mask = Image.new("L", photo.size)
ImageDraw.Draw(mask).ellipse((150, 50, 230, 110), fill=255)

with Client() as mmml:
    # The photo is a drawn bird, which this bundle knows; leave it out for a real photo.
    job = mmml.inpaint(photo, mask, "a bird with a blue crown", bundle="aviary")
    filled = job.wait().images[0]

changed = ImageChops.difference(photo, filled).getbbox()
assert changed is not None
print(f"filled.png: nothing changed outside {changed}")
filled.save("filled.png")
