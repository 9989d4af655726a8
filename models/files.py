"""What a file is that can't be used, from how it begins; files that are written whole, or line by
line.
"""

from __future__ import annotations

import fcntl
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_HEAD = 512
_KINDS = {
    b"\x89PNG": "is a picture (PNG); this needs a file of weights",
    b"\xff\xd8\xff": "is a picture (JPEG); this needs a file of weights",
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself; run git lfs pull",
    b"\x1f\x8b": "is a gzip archive; unpack it and give the file inside",
    b"7z\xbc\xaf": "is a 7z archive; unpack it and give the file inside",
    b"Rar!": "is a RAR archive; unpack it and give the file inside",
    b"\x89HDF": "is an HDF5 file, as Keras writes; this needs PyTorch's",
    b"{": "is a text (JSON), often an error that came instead of a download; look into it",
}
_PAGE = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<script")


def write_whole(path: Path, data: bytes | str) -> None:
    """Replace the file at once: a reader sees the old one or the new one, also after a crash."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())  # or a power cut leaves zeros
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)  # a full disk is full enough


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Wait until no other process has locked this file or folder, and lock it. The lock ends with
    its process.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def json_lines(path: Path, key: str) -> Iterator[dict[str, Any]]:
    """The objects that have ``key``, of a file of one a line, if there is one; what a kill tore is
    passed over.
    """
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for written in text.splitlines():
        try:
            line = json.loads(written)
        except ValueError:
            continue
        if isinstance(line, dict) and key in line:
            yield line


def torch_reason(error: Exception) -> str:
    """Why torch can't read a file, in one line, without its advice to trust the file."""
    text = "" if isinstance(error, KeyError) else " ".join(str(error).split())
    text = text.partition("WeightsUnpickler error: ")[2] or text
    for advice in ("In PyTorch 2.6", "This is an internal miniz error", "Check the documentation"):
        text = text.partition(advice)[0]
    return text.strip(" .")[:160] or "it is of no known kind"


def head_of(path: Path) -> bytes:
    """The first bytes; none where they can't be read."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""


def is_safetensors(path: Path) -> bool:
    """Whether it begins with the length of a JSON header and the header."""
    head = head_of(path)
    return len(head) > 9 and head[6:8] == b"\0\0" and head[8:9] == b"{"


def what_it_is(path: Path, wanted: str = ".pth") -> str:
    """The end of a sentence that begins with the file's name; empty when nothing tells."""
    if path.is_dir():
        return "is a folder; give the file in it"
    head = head_of(path)
    if not head:
        return "is empty: its download or its copy stopped; fetch it again"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:16].lower().startswith(_PAGE):
        return "is a web page (HTML), not the file: the download was refused; fetch it by a browser"
    for mark, kind in _KINDS.items():
        if start.startswith(mark):
            return kind
    if head.startswith(b"PK") and (kind := _zipped(path)):
        return kind
    other = is_safetensors(path) and wanted == ".pth"
    return "is a safetensors file; this needs a .pth file" if other else ""


def _zipped(path: Path) -> str:
    """Torch's own files are archives with a data.pkl."""
    try:
        with zipfile.ZipFile(path) as archive:
            own = any(name.endswith("data.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return "is cut off: its download or its copy stopped; fetch it again"
    return "" if own else "is a zip archive; unpack it and give the file inside"
