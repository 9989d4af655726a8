"""A picture of a text, as a file."""

from mmml import Client

with Client() as mmml:
    job = mmml.synthesize("a bird with a red crown, a yellow belly and blue wings").wait()
    for path in job.save("bird.png"):
        print(f"{path}: seed {job.seed} makes it again")
