"""Several pictures of one text, side by side; then one of them again, by its seed."""

from PIL import Image

from mmml import Client

TEXT = "a small green bird with a black tail"

with Client() as mmml:
    several = mmml.synthesize(TEXT, seed=40, count=4).wait()
    width, height = several.images[0].size
    sheet = Image.new("RGB", (4 * width, height))
    for place, picture in enumerate(several.images):
        sheet.paste(picture, (place * width, 0))
    sheet.save("sheet.png")

    third = mmml.synthesize(TEXT, seed=42).wait()  # picture n of a job has seed + n
    assert third.pictures == several.pictures[2:3]
    print("sheet.png: seeds 40 to 43")
