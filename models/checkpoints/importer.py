"""Published files in, one task of a bundle out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from models.bundle import Bundle, save_task
from models.card import put_section
from models.checkpoints.published import Published, published_folder
from models.inpainting.classical import CLASSICAL

Files = Mapping[str, Path]


def import_published(method: str, files: Files, out: Path) -> Bundle:
    """The published files of a method, by their roles, as one task of the bundle ``out``, whose
    card says where they came from.
    """
    folder = published_folder(method)
    found: Published = folder.module("official").read_published(files)
    licence = folder.package.LICENCE
    spec = {
        "method": method,
        "size": found.size,
        "licence": licence,
        "network": dict(found.network),
        "classical": list(CLASSICAL) if folder.task == "inpaint" else [],
    }
    if found.words is None:
        spec["reads_text"] = False
    else:
        spec |= {"max_words": found.max_words, "tokenizer": "regexp", "text_encoder": {}}
    spec |= found.more
    states = {role: module.state_dict() for role, module in found.roles.items()}
    bundle = save_task(out, folder.task, spec, states, name=out.name, words=found.words)
    origin = [f"{method} for `{folder.task}`. Licence: {licence}.", *found.notes, ""]
    origin += [f"- {role}: `{file.name}`" for role, file in sorted(files.items())]
    put_section(bundle, method, "\n".join(origin))
    return bundle
