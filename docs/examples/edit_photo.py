"""A photo edited as a text says; it keeps its size."""

from pathlib import Path

from PIL import Image

from mmml import Client

PHOTO = Path(__file__).with_name("photo.jpg")
BUNDLE = "aviary"  # knows drawn birds, as this one; None for a real photo

with Client() as mmml, Image.open(PHOTO) as photo:
    text = "a bird with green wings and a red belly"
    edited = mmml.manipulate(photo, text, bundle=BUNDLE).wait().images[0]
    assert edited.size == photo.size
    edited.save("edited.jpg")
    print(f"edited.jpg: {edited.width}x{edited.height}")
