"""Requests of the service's routes as plain data, with images in whatever form callers hold them,
and how the HTTP clients are set up.
"""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, NotRequired, TypedDict

import httpx
from PIL import ExifTags, Image, ImageCms

from mmml.errors import MmmlError, UnusablePicture

Box = tuple[int, int, int, int]
Picture = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | Any
"""A file, its bytes, an open file, a PIL image, an array (uint8, uint16 or bool), or
``/jobs/ID/images/0``: an image of an earlier job."""
Mask = Picture | Box
"""White where the photo is to be filled; or a box (x, y, width, height), or ``"alpha"``: where
the photo is transparent."""

_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_NEAREST_MODE = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA", "F": "L"}
_ARRAY_TYPES = ("u1", "u2", "b1")


def encode_image(image: Mask) -> bytes | str:
    """Bytes to send as a file, or text that the service understands. Raises UnusablePicture."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, Image.Image):
        return _as_png(image)
    if hasattr(image, "__array_interface__"):
        return _as_png(_from_array(image))
    if isinstance(image, tuple | list):
        return ",".join(map(str, image))
    return _read(image) if isinstance(image, str | os.PathLike) else _read_stream(image)


def _as_png(image: Image.Image) -> bytes:
    """With the orientation and the colour profile that came with the image."""
    image.load()
    turn = image.getexif().get(ExifTags.Base.Orientation)
    exif = Image.Exif()
    if turn:
        exif[ExifTags.Base.Orientation] = turn
    profile = image.info.get("icc_profile")
    if image.mode in ("CMYK", "LAB"):  # a profile of theirs says nothing of RGB
        image, profile = _as_rgb(image, profile), None
    buffer = io.BytesIO()
    _as_png_mode(image).save(buffer, "PNG", exif=exif, icc_profile=profile)
    return buffer.getvalue()


def _as_png_mode(image: Image.Image) -> Image.Image:
    if image.mode in _PNG_MODES:
        return image
    if image.mode.startswith("I"):  # of 16 bits, unless it is a converted one of 8
        whole = image.convert("I")
        eight_bits = whole.point(lambda value: value * (1 / 256)).getbbox() is None
        return whole.convert("L" if eight_bits else "I;16")
    return image.convert(_NEAREST_MODE.get(image.mode, "RGB"))


def _as_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile and image.mode == "CMYK":
        source, target = io.BytesIO(profile), ImageCms.createProfile("sRGB")
        with suppress(ImageCms.PyCMSError, OSError):  # unreadable: it is ignored as in a file
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
            if converted:
                return converted
    return image.convert("RGB")


def _from_array(array: Any) -> Image.Image:
    kind, shape = array.__array_interface__["typestr"], array.__array_interface__["shape"]
    try:
        if kind[1:] not in _ARRAY_TYPES or len(shape) not in (2, 3):
            raise TypeError
        return Image.fromarray(array)
    except (TypeError, ValueError) as error:
        raise UnusablePicture(
            f"An array of shape {tuple(shape)} and type {kind} is no image; use height × width, or "
            "× 3 or 4 channels, of type uint8, from 0 to 255."
        ) from error


def _read_stream(stream: BinaryIO) -> bytes:
    """All of an open file, wherever it was read or written last."""
    if not hasattr(stream, "read"):
        raise UnusablePicture(f"A {type(stream).__name__} is no image; give a file or an image.")
    if stream.seekable():
        stream.seek(0)
    data = stream.read()
    if not isinstance(data, bytes):
        raise UnusablePicture("The file was opened as text; open it with mode 'rb'.")
    return data


def _read(name: str | os.PathLike[str]) -> bytes | str:
    path, text = Path(name), str(name)
    try:
        if path.is_file():
            return path.read_bytes()
    except OSError as error:
        raise UnusablePicture(f"{path} can't be read: {error.strerror}.") from error
    if "/jobs/" in text or text == "alpha" or text.count(",") == 3:
        return text
    raise UnusablePicture(f"There is no file {path}.")


DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT = 300.0  # seconds for which a job is waited for
_NETWORK = httpx.Timeout(60.0, connect=5.0)  # longer than a long poll


@dataclass(frozen=True)
class ApiRequest:
    """One HTTP request; ``options`` are keyword arguments of httpx. ``named``: the path is one that
    the service has named, which begins with the path of its URL if that has one.
    """

    method: str
    path: str
    options: Mapping[str, Any] = field(default_factory=dict)
    named: bool = False


class WeightedText(TypedDict):
    """One of several texts that are mixed; weights are normalised, 1 when absent."""

    text: str
    weight: NotRequired[float]


Text = str | Sequence[str | WeightedText]


class Options(TypedDict, total=False):
    """Options of all tasks; GET /models lists bundles and methods. ``size``: 64, 128 or 256 pixels
    of the longer side, as a photo is or as looks best when absent; ``explain``: how each word
    affected the image, see ``Job.explanation``; ``priority``: which of the jobs that wait start
    first; ``webhook``: an address that is called when the job ends; ``batch``: that the job belongs
    to, see ``create_batch``; ``idempotency_key``: the same key makes no second job, even from
    another process.
    """

    seed: int
    count: int
    bundle: str
    method: str
    format: Literal["png", "jpeg", "webp", "gif"]
    size: Literal[64, 128, 256]
    explain: bool
    priority: Literal["low", "normal", "high"]
    webhook: str
    batch: str
    idempotency_key: str


class PhotoOptions(Options, total=False):
    """``fidelity``: the network's own pixels, or its change fitted to the photo."""

    fidelity: Literal["network", "photo"]


class SynthesisOptions(Options, total=False):
    """``frames``: with two texts, the images of a morph from the first to the second;
    ``noise_scale``: how far images of one text differ; ``candidates``: how many are drawn for each
    image, of which the one that fits its text best is kept.
    """

    frames: int
    noise_scale: float
    candidates: int


def submit_request(
    task: str, text: Text, images: Mapping[str, Mask], options: Options
) -> ApiRequest:
    """The request that makes a job; reads the images. It carries an ``Idempotency-Key``, so that it
    can be sent again when its answer is lost.
    """
    fields: dict[str, Any] = {k: v for k, v in options.items() if v is not None}
    key = fields.pop("idempotency_key", None) or str(uuid.uuid4())
    headers = {"Idempotency-Key": _header_value(key, "Idempotency-Key")}
    encoded = {name: encode_image(image) for name, image in images.items()}
    if isinstance(text, str):
        body = _form({"text": text, **fields}, encoded)
    else:
        body = {"json": {"text": list(text), **fields, **encoded}}
    return ApiRequest("POST", f"/{task}", {"headers": headers, **body})


def _form(fields: Mapping[str, Any], images: Mapping[str, bytes | str]) -> dict[str, Any]:
    references = {name: text for name, text in images.items() if isinstance(text, str)}
    files = {name: (name, data) for name, data in images.items() if isinstance(data, bytes)}
    data = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in fields.items()}
    return {"data": data | references, "files": files or None}


def record_path(record_id: str) -> str:
    """Of a job or a batch."""
    return f"/{'batches' if record_id.startswith('batch_') else 'jobs'}/{record_id}"


def service_url(url: str | None) -> str:
    """Where the service is: as given, else as the environment's MMML_URL says."""
    return url or os.environ.get("MMML_URL") or DEFAULT_URL


def client_options(url: str, api_key: str | None) -> dict[str, Any]:
    """Keyword arguments of httpx.Client and httpx.AsyncClient. ``api_key`` is taken from the
    environment's MMML_API_KEY when it is not given. Raises MmmlError.
    """
    try:
        httpx.URL(url)
    except httpx.InvalidURL as error:
        raise MmmlError(f"{url} is no address of a service: {error}.") from error
    # A line feed comes with a key that was read from a file.
    key = _header_value((api_key or os.environ.get("MMML_API_KEY") or "").strip(), "The API key")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return {"base_url": url, "headers": headers, "timeout": _NETWORK}


def _header_value(text: str, what: str) -> str:
    """The text. Raises MmmlError, which does not repeat it, when no header can hold it."""
    if not (text.isascii() and text.isprintable()):
        raise MmmlError(f"{what} may hold only letters, digits and signs of ASCII.")
    return text


def build_request(http: httpx.Client | httpx.AsyncClient, request: ApiRequest) -> httpx.Request:
    """The request as ``http`` sends it. Raises MmmlError when the service names an address of
    another server, which must not be shown the API key, when an id can't stand in an address, and
    for text that is not Unicode.
    """
    if not request.path.startswith("/") or request.path.startswith("//"):
        raise MmmlError(
            f"The service names {request.path[:100]!r}, which is not one of its own addresses; is "
            "the URL right?"
        )
    root = http.base_url.path.rstrip("/") if request.named else ""
    path = request.path.removeprefix(root) if request.path.startswith(f"{root}/") else request.path
    try:
        return http.build_request(request.method, path, **request.options)
    except httpx.InvalidURL as error:
        raise MmmlError(f"{path[:100]!r} is no address: {error}.") from error
    except UnicodeEncodeError as error:
        raise MmmlError(
            "The request holds half of a surrogate pair, which a terminal makes of bytes that are "
            "not UTF-8; give text in UTF-8."
        ) from error
