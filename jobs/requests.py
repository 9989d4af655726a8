"""What a client may ask for: one frozen class per task, and the registry that everything else is
made from.

Routes, form parsing, OpenAPI, the command line and the worker read :data:`TASKS`; a new task is
one class here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from jobs.captions import Blend
from jobs.request_texts import (
    FORM_PROPERTIES,
    MAX_FRAMES,
    Caption,
    Texts,
    form_to_json,
    has_weights,
    morph_blends,
    to_blend,
)

MAX_URL = 2000
MAX_NAME = 100  # characters
MAX_SEED = 2**32 - 1
MAX_NOISE_SCALE = 2
MAX_MORPH_FRAMES = 128  # of all morphs of one request
ImageFormat = Literal["png", "jpeg", "webp"]
Fidelity = Literal["network", "photo"]
CANDIDATE_RANKER = "damsm"  # the part of a bundle that chooses among candidates
SIZES = (64, 128, 256)  # sides in pixels that can be asked for


def _check_size(size: int | None) -> int | None:
    if size is not None and size not in SIZES:
        raise ValueError("must be 64, 128 or 256")
    return size


def _seed(seed: int | None) -> int | None:
    if seed is not None and seed < 0:
        raise ValueError("must be at least 0; leave it out for a random seed")
    return seed


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


_OneOfSizes = (
    AfterValidator(_check_size),
    WithJsonSchema({"anyOf": [{"type": "integer", "enum": list(SIZES)}, {"type": "null"}]}),
)


@dataclass(frozen=True)
class ImageField:
    """A picture that a task takes: form field ``name``; a mask belongs to the photo before it."""

    name: str
    kind: Literal["photo", "mask"]
    description: str


class TaskRequest(BaseModel):
    """What all tasks share. Pictures are not part of it: they are blobs, named in the job's
    ``inputs``.
    """

    # Errors name fields, not what was written there: captions are for no log.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    task: ClassVar[str]
    summary: ClassVar[str]
    images: ClassVar[tuple[ImageField, ...]] = ()
    # Parts of a bundle that explanations need beside the task's own; None: there are none.
    explained_by: ClassVar[tuple[str, ...] | None] = None
    repeatable: ClassVar[tuple[str, ...]] = ()  # fields that a form may hold several times
    serving: ClassVar[tuple[str, ...]] = ()  # fields for which a bundle has values of its own

    text: Caption
    seed: Annotated[
        int | None,
        Field(
            le=MAX_SEED,
            description="if omitted, a random seed is chosen and returned",
            json_schema_extra={"minimum": 0},
        ),
        AfterValidator(_seed),
    ] = None
    count: int = Field(1, ge=1, le=16, description="number of images")
    bundle: str | None = Field(
        None, max_length=MAX_NAME, description="weights to use; GET /models lists them"
    )
    method: str | None = Field(
        None, max_length=MAX_NAME, description="algorithm to use; GET /models lists them"
    )
    format: ImageFormat = Field("png", description="png is lossless")
    size: Annotated[
        int | None,
        *_OneOfSizes,
        Field(description="longer side in pixels; if omitted, the photo's own"),
    ] = None
    explain: bool = Field(
        False, description="also return where each word acted: images[].explanation"
    )
    priority: Literal["low", "normal", "high"] = Field(
        "normal", description="jobs of higher priority start first; a key may be limited to one"
    )
    webhook: str | None = Field(
        None, max_length=MAX_URL, description="HTTPS URL called when the job ends"
    )
    batch: str | None = Field(
        None, max_length=MAX_NAME, description="batch that the job belongs to: POST /batches"
    )

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, given: Any) -> Any:
        """null stands for an absent field; 7.0 is the whole number that JSON says it is."""
        if not isinstance(given, Mapping):
            return given
        return {name: _whole(value) for name, value in given.items() if value is not None}

    @property
    def texts(self) -> tuple[str, ...]:
        """All captions of the request."""
        return (self.text,)

    @property
    def frame_blends(self) -> tuple[Blend, ...]:
        """What each picture shows: a blend of captions, or one for each frame if it moves."""
        return (((self.text, 1.0),),)

    @property
    def returned_count(self) -> int:
        """How many pictures the client gets, each frame of an animation counted."""
        return self.count * len(self.frame_blends)

    @property
    def drawn_count(self) -> int:
        """How many pictures the networks draw for it."""
        return self.returned_count

    def with_bundle_defaults(self, values: Mapping[str, Any]) -> Self:
        """With the bundle's values for those of ``serving`` that were left open."""
        left_open = [name for name in self.serving if getattr(self, name) is None]
        return self.model_copy(update={name: values[name] for name in left_open})

    @classmethod
    def from_form(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A form's fields as JSON has them; what ``repeatable`` names comes in lists. Raises
        ValueError, with a sentence.
        """
        return dict(fields)

    @classmethod
    def form_properties(cls, properties: Mapping[str, Any]) -> dict[str, Any]:
        """JSON schemas of a form's fields, from those of the JSON body."""
        return dict(properties)


_FormatOfMorphs = Annotated[
    Literal["png", "jpeg", "webp", "gif"],
    Field(description="png is lossless; if omitted, webp for frames; gif only for frames"),
]


class Synthesize(TaskRequest):
    """Generates images from a text. Several texts are mixed or, with ``frames``, morphed."""

    task = "synthesize"
    summary = "Generate images from text"
    explained_by = ("damsm",)
    repeatable = ("text", "weight")
    serving = ("noise_scale", "candidates")

    text: Texts  # type: ignore[assignment]
    frames: int | None = Field(
        None,
        ge=2,
        le=MAX_FRAMES,
        description="steps from the first of two texts to the second: an animation (webp, gif) or "
        "a strip (png, jpeg)",
    )
    noise_scale: float | None = Field(
        None,
        ge=0,
        le=MAX_NOISE_SCALE,
        allow_inf_nan=False,
        description="factor of the noise: below 1, images of a text are more alike; if omitted, "
        "the bundle's",
    )
    candidates: int | None = Field(
        None,
        ge=1,
        le=16,
        description="images generated for each image requested, of which the one that agrees best "
        "with the text is returned; if omitted, the bundle's",
    )
    format: _FormatOfMorphs = "png"  # type: ignore[assignment]
    size: Annotated[
        int | None,
        *_OneOfSizes,
        Field(description="side in pixels; if omitted, 256 or the bundle's largest size"),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _default_animation_format(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("frames") is not None:
            return {"format": "webp", **given}
        return given

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        if self.frames is None and self.format == "gif":
            raise ValueError("format gif is for morphs; add frames, or ask for png, jpeg or webp")
        if self.frames is not None:
            self._check_morph()
        return self

    def _check_morph(self) -> None:
        if len(self.texts) != 2:
            raise ValueError("frames needs a text that is a list of two captions, from and to")
        if has_weights(self.text):
            raise ValueError("frames goes from the first text to the second; leave the weights out")
        if self.explain:
            raise ValueError("explain can't be combined with frames; explain the single captions")
        if (self.candidates or 1) > 1:
            raise ValueError("a morph is of one candidate, so that its frames belong together")
        if self.returned_count > MAX_MORPH_FRAMES:
            raise ValueError(
                f"count × frames is {self.returned_count}, and may be at most {MAX_MORPH_FRAMES}"
            )

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(text for text, _ in to_blend(self.text))

    @property
    def frame_blends(self) -> tuple[Blend, ...]:
        return morph_blends(self.text, self.frames) if self.frames else (to_blend(self.text),)

    @property
    def drawn_count(self) -> int:
        return self.returned_count * (self.candidates or 1)

    def with_bundle_defaults(self, values: Mapping[str, Any]) -> Self:
        return super().with_bundle_defaults({**values, "candidates": 1} if self.frames else values)

    @classmethod
    def from_form(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        return form_to_json(fields)

    @classmethod
    def form_properties(cls, properties: Mapping[str, Any]) -> dict[str, Any]:
        return {**properties, **FORM_PROPERTIES}


_PHOTO = ImageField("image", "photo", "PNG, JPEG or WebP, up to 50 megapixels")


class PhotoRequest(TaskRequest):
    """What tasks on a photo share."""

    explained_by = ()
    serving = ("fidelity",)

    fidelity: Fidelity | None = Field(
        None,
        description="network: the network's output; photo: its change, fitted to the photo's edges "
        "and colours; if omitted, the bundle's choice, else network for photos of the network's "
        "size and photo for others",
    )


class Manipulate(PhotoRequest):
    """Edits a photo according to a text."""

    task = "manipulate"
    summary = "Edit a photo according to a text"
    images = (_PHOTO,)


class Inpaint(PhotoRequest):
    """Fills a hole in a photo according to a text. Pixels outside the hole do not change."""

    task = "inpaint"
    summary = "Fill a hole in a photo according to a text"
    images = (
        _PHOTO,
        ImageField(
            "mask", "mask", "image of the photo's size, white where the photo is to be filled"
        ),
    )


TASKS: dict[str, type[TaskRequest]] = {}


def register_task(request: type[TaskRequest]) -> type[TaskRequest]:
    TASKS[request.task] = request
    return request


for _request in (Synthesize, Manipulate, Inpaint):
    register_task(_request)
