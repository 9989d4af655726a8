"""What a pipeline is asked for, apart from it: whoever only asks needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from PIL import Image

from jobs.captions import Blend


@dataclass(frozen=True)
class Item:
    """One picture to make. images: by field name, photos mode RGB, masks mode L with 255 = hole;
    index: which of its job's pictures it is; seed: of this picture alone; mixed: captions with
    their shares in the place of text, for pipelines that mix; explain: also say where the words
    acted; noise_scale: factor of the noise; candidates: how many are drawn, of which the one that
    fits its text best is kept (both for pipelines that draw from noise); size: longer side in
    pixels, None for the photo's own, or of text alone what looks best; fidelity: "network" for the
    network's own pixels, "photo" for its change fitted to the photo, None for the first where the
    photo has the network's size and else the second.
    """

    text: str
    seed: int
    index: int = 0
    images: Mapping[str, Image.Image] = field(default_factory=dict)
    mixed: Blend = ()
    explain: bool = False
    noise_scale: float = 1.0
    candidates: int = 1
    size: int | None = None
    fidelity: str | None = None

    @property
    def blend(self) -> Blend:
        return self.mixed or ((self.text, 1.0),)

    def resized_image(self, name: str) -> Image.Image:
        """The image of that field with ``size`` pixels on its longer side. A mask's pixel that
        holds any of the hole is part of it.
        """
        image = self.images[name]
        if self.size is None or self.size == max(image.size):
            return image
        scale = self.size / max(image.size)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        if image.mode == "L":
            hole = image.point(lambda value: 255 if value >= 128 else 0)
            return hole.resize(size, Image.Resampling.BOX).point(lambda value: 255 if value else 0)
        return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
