"""Published files in, one task of a bundle out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from models.bundle import Bundle, save_task
from models.card import put_section
from models.checkpoints.published import Published, published_folder
from models.inpainting.classical import CLASSICAL

Files = Mapping[str, Path]


def import_published(method: str, files: Files, out: Path) -> Bundle:
    """The published files of a method, by their roles, as one task of the bundle ``out``."""
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
    _note_origin(bundle, f"{method} for `{folder.task}`. Licence: {licence}.", found.notes, files)
    return bundle


def _note_origin(bundle: Bundle, what: str, notes: Sequence[str], files: Files) -> None:
    """Say in the model card where the files came from."""
    lines = [what, *notes, ""]
    lines += [f"- {role}: `{file.name}`" for role, file in sorted(files.items())]
    put_section(bundle, what.partition(" ")[0], "\n".join(lines))
