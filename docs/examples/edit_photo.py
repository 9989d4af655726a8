"""A photo edited as a text says; it keeps its size."""

from pathlib import Path

from PIL import Image

from mmml import Client

PHOTO = Path(__file__).with_name("photo.jpg")

with Client() as mmml, Image.open(PHOTO) as photo:
    edited = mmml.manipulate(photo, "a bird with green wings and a red belly").wait().images[0]
    assert edited.size == photo.size
    edited.save("edited.jpg")
    print(f"edited.jpg: {edited.width}x{edited.height}")
