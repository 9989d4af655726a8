"""Where the words of a text acted on a picture, as it is stored and answered: JSON."""

from __future__ import annotations

import base64
import io
from typing import Annotated

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

# 8-bit grey, of the picture's aspect: 0 is nowhere, 255 the strongest place.
MapUrl = Annotated[str, Field(description="a grey PNG of the picture's aspect, as a data URL")]


class WordView(BaseModel):
    """A word of a text. Words that were left out have no maps."""

    model_config = ConfigDict(frozen=True)

    text: Annotated[int, Field(description="which of the texts; 0 when there is one")]
    word: Annotated[str, Field(description="as the networks read it")]
    start: Annotated[int, Field(description="its place in the text, in characters")]
    end: Annotated[int, Field(description="where it ends, in characters")]
    known: Annotated[bool, Field(description="whether the bundle knows it")]
    peak: Annotated[
        float | None, Field(ge=0, le=1, description="the word's share at its strongest place")
    ]
    maps: Annotated[dict[str, MapUrl], Field(description="by layer of the network")]


class ExplanationView(BaseModel):
    """Where each word of the text acted on an image."""

    model_config = ConfigDict(frozen=True)

    image: Annotated[int, Field(description="its number in the job")]
    method: Annotated[str, Field(description="that generated it")]
    words: Annotated[list[WordView], Field(description="of all texts, in order")]
    features: Annotated[dict[str, MapUrl], Field(description="maps that belong to no word")]


def map_url(plane: Image.Image) -> str:
    """A heat map, mode L, as a data URL."""
    buffer = io.BytesIO()
    plane.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
