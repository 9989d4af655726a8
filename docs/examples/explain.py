"""Where each word acted: its map in red over the picture, the paler the less it did."""

from PIL import Image

from mmml import Client

with Client() as mmml:
    job = mmml.synthesize("a bird with a red crown and blue wings", seed=7, explain=True).wait()
    words = job.explanation(0).words

picture = job.images[0].convert("RGB")
red = Image.new("RGB", picture.size, "red")
for number, word in enumerate(words):
    print(f"{word.word}: {word.peak:.2f}" if word.peak is not None else f"{word.word}: left out")
    for where in word.maps.values():
        paler = where.resize(picture.size).point([value * (word.peak or 0) for value in range(256)])
        Image.composite(red, picture, paler).save(f"{number}-{word.word}.png")
