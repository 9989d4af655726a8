"""Official checkpoints to bundles, and back."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from models.commands.arguments import new_folder
from models.registry import method_folders

# method -> the published files that it takes
FILES = {
    "manigan": ("main", "dcm", "text-encoder", "image-encoder", "vgg", "captions"),
    "tdanet": ("encoder", "generator", "text-encoder", "captions"),
    "efficient-t2i": ("generator", "text-encoder", "captions"),
    "damsm": ("text-encoder", "image-encoder", "captions"),
    **{name: folder.package.FILES for name, folder in method_folders().items()},
}

_OPTIONAL = ("vgg", "discriminator")


def add_import(parser: argparse.ArgumentParser) -> None:
    """Official checkpoints to a bundle."""
    methods = parser.add_subparsers(dest="method", required=True)
    for method, roles in FILES.items():
        one = methods.add_parser(method)
        for role in roles:
            one.add_argument(f"--{role}", type=Path, required=role not in _OPTIONAL)
        one.add_argument(
            "--out", type=new_folder, required=True, help="bundle folder: weights/NAME"
        )


def run_import(arguments: argparse.Namespace) -> None:
    from models.checkpoints.importer import import_published

    given = {role: getattr(arguments, role.replace("-", "_")) for role in FILES[arguments.method]}
    files = {role: path for role, path in given.items() if path is not None}
    bundle = import_published(arguments.method, files, arguments.out)
    sys.stderr.write(f"wrote {bundle.folder}: {', '.join(sorted(bundle.tasks))}\n")


def add_export(parser: argparse.ArgumentParser) -> None:
    """A bundle's task in its authors' file layout."""
    parser.add_argument("bundle", type=Path)
    layouts = [method for method in FILES if method != "damsm"]
    parser.add_argument("--layout", required=True, choices=layouts)
    parser.add_argument("--out", type=new_folder, required=True, help="folder to write")


def run_export(arguments: argparse.Namespace) -> None:
    from models.checkpoints.exporter import export

    for path in export(arguments.bundle, arguments.layout, arguments.out):
        sys.stderr.write(f"wrote {path}\n")
