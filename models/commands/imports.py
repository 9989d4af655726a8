"""``python -m models import``: official checkpoints to a bundle."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from models.commands.arguments import new_folder

# method -> the published files that it takes
FILES = {
    "manigan": ("main", "dcm", "text-encoder", "image-encoder", "vgg", "captions"),
    "tdanet": ("encoder", "generator", "text-encoder", "captions"),
    "efficient-t2i": ("generator", "text-encoder", "captions"),
    "damsm": ("text-encoder", "image-encoder", "captions"),
}
_OPTIONAL = ("vgg",)


def add(parser: argparse.ArgumentParser) -> None:
    methods = parser.add_subparsers(dest="method", required=True)
    for method, roles in FILES.items():
        one = methods.add_parser(method)
        for role in roles:
            one.add_argument(f"--{role}", type=Path, required=role not in _OPTIONAL)
        one.add_argument(
            "--out", type=new_folder, required=True, help="bundle folder: weights/NAME"
        )


def run(arguments: argparse.Namespace) -> None:
    from models.checkpoints.importer import IMPORTS

    given = {role: getattr(arguments, role.replace("-", "_")) for role in FILES[arguments.method]}
    files = {role: path for role, path in given.items() if path is not None}
    bundle = IMPORTS[arguments.method](files, arguments.out)
    sys.stderr.write(f"wrote {bundle.folder}: {', '.join(sorted(bundle.tasks))}\n")
