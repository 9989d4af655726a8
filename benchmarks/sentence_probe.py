"""How many of the named part colours a linear layer reads off the sentence vectors of a bundle.

Fitted on 5,000 captions of Aviary, tested on 1,000 others; one share per text encoder.
Usage: ``python -m benchmarks.sentence_probe [BUNDLE]``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.bundle import Bundle, load_strict
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.data.aviary_set import Aviary
from models.pipeline import config_from

FITTED, TESTED, BLOCK = 5000, 1000, 100


@torch.no_grad()
def sentences(text: TextEncoder, data: Aviary) -> tuple[Tensor, Tensor]:
    """(sentence vectors [N,D], colours int64 [N,6], -1 where the caption names none)."""
    found, named = [], []
    for start in range(0, FITTED + TESTED, BLOCK):
        sources = [np.random.default_rng([7, start + k]) for k in range(BLOCK)]
        batch = data.batch("damsm", [k % len(data) for k in range(BLOCK)], sources)
        found.append(text(batch.ids, batch.lengths)[1])
        named.append(torch.as_tensor(batch.named))
    return torch.cat(found), torch.cat(named)


def readable(text: TextEncoder, data: Aviary) -> float:
    """Share of the tested captions' named colours that the fitted layer names."""
    vectors, named = sentences(text, data)
    parts, colours = data.attributes
    torch.manual_seed(0)
    layer = nn.Linear(vectors.shape[1], parts * colours)
    optimiser = torch.optim.Adam(layer.parameters(), 1e-2)
    for _ in range(600):
        logits = layer(vectors[:FITTED]).view(-1, colours)
        loss = functional.cross_entropy(logits, named[:FITTED].flatten(), ignore_index=-1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    said = named[FITTED:]
    guess = layer(vectors[FITTED:]).view(-1, parts, colours).argmax(2)
    return float((guess == said)[said >= 0].float().mean())


def main(folder: Path) -> None:
    bundle = Bundle.open(folder)
    data = Aviary(32, 200, "validation")
    for task, spec in sorted(bundle.tasks.items()):
        text = TextEncoder(config_from(TextEncoderConfig, spec.text_encoder, str(folder)))
        load_strict(text, bundle.state(task, "text_encoder"), task)
        sys.stdout.write(f"{task}: {readable(text.eval(), data):.3f}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("weights/aviary"))
