"""Generates an image and fills a hole in it, with the client that README.md makes."""

import os
from pathlib import Path

from mmml_client import Client
from mmml_client.api.jobs import get_image
from mmml_client.api.tasks import inpaint, synthesize
from mmml_client.models import InpaintRequest, JobView, SynthesizeRequest
from mmml_client.types import File

client = Client(os.environ.get("MMML_URL", "http://127.0.0.1:8000"), timeout=90)

drawn = synthesize.sync(
    client=client, wait=60, body=SynthesizeRequest(text="a bird with a red crown", seed=7)
)
assert isinstance(drawn, JobView), drawn  # else a problem, whose detail says what to do

filled = inpaint.sync(
    client=client,
    wait=60,
    body=InpaintRequest(
        text="a bird with a blue crown", image=drawn.images[0].url, mask=[60, 20, 40, 30]
    ),
)
assert isinstance(filled, JobView), filled
image = get_image.sync(filled.id, "0", client=client)
assert isinstance(image, File), image
Path("filled.png").write_bytes(image.payload.read())
print(f"filled.png: {filled.status} with seed {filled.images[0].seed}")
