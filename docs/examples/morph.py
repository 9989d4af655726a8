"""From one text to another at one seed: as an animation, as a strip; and a mean of both."""

from PIL import ImageSequence

from mmml import Client

ENDS = ["a bird with a red belly", "a bird with a blue belly"]

with Client() as mmml:
    moving = mmml.synthesize(ENDS, frames=24, format="webp", seed=7)
    strip = mmml.synthesize(ENDS, frames=6, format="png", seed=7)
    mixed = mmml.synthesize([ENDS[0], {"text": ENDS[1], "weight": 2.0}], seed=7)
    print(*moving.save("morph.webp"), *strip.save("strip.png"), *mixed.save("mixed.png"))

print(f"{len(ImageSequence.all_frames(moving.images[0]))} frames")
