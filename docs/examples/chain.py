"""One job's picture is the next one's photo: named by its path, it is not sent again."""

from mmml import Client

with Client() as mmml:
    drawn = mmml.synthesize("a bird with a red crown", seed=1).wait(fetch=False)
    path = drawn.record["images"][0]["url"]
    width, height = (drawn.record["images"][0][side] for side in ("width", "height"))

    box = (width // 4, height // 4, width // 2, height // 2)  # x, y, width, height
    filled = mmml.inpaint(path, box, "a bird with a yellow belly", bundle="aviary", seed=1).wait()
    path = filled.record["images"][0]["url"]
    edited = mmml.manipulate(path, "a black bird", bundle="aviary", seed=1)
    print(*edited.save("chained.png"))
