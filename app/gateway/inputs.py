"""The pictures of a request as they are stored for its job: decoded, checked, without metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from app.gateway.auth import Caller
from app.gateway.decoders import QUICK_BYTES, QUICK_PIXELS
from app.gateway.problems import Problem
from app.gateway.services import Services
from app.gateway.uploads import (
    AlphaMask,
    BoxMask,
    EarlierImage,
    ImageInput,
    PhotoAlphaMask,
    UploadedFile,
)
from jobs.errors import BlobMissing, ImageProblem
from jobs.images import ImageLimits, encode, normalize_photo
from jobs.job import Status
from jobs.masks import Mask, alpha_mask, box_mask, check_mask, read_mask
from jobs.requests import ImageField

Normalized = tuple[dict[str, bytes], list[str]]  # files by name, and warnings


@dataclass(frozen=True)
class InputNormalizer:
    """``given``: the pictures that ``caller`` sent, by name. Raises Problem and ImageProblem."""

    services: Services
    caller: Caller
    given: Mapping[str, ImageInput]

    async def normalize(self, fields: tuple[ImageField, ...]) -> Normalized:
        """Few are decoded at a time: each may take much memory meanwhile."""
        if not fields:
            return {}, []
        run, who = self.services.decoders.run, self.caller.rate_limit_key
        limits = ImageLimits(max_pixels=self.services.settings.max_pixels)
        files = [p.data for p in self.given.values() if isinstance(p, UploadedFile)]
        if sum(map(len, files)) <= QUICK_BYTES:
            small = replace(limits, max_pixels=min(QUICK_PIXELS, limits.max_pixels))
            try:
                return await run(who, partial(self._normalize, fields, small), quick=True)
            except ImageProblem as problem:
                if problem.status != 413:
                    raise
        return await run(who, partial(self._normalize, fields, limits))

    def _normalize(self, fields: tuple[ImageField, ...], limits: ImageLimits) -> Normalized:
        raw = {name: self._read(name) for name in self.given}
        size, photo_data = (0, 0), b""  # of the photo, which goes before its mask in every task
        result, warnings = dict[str, bytes](), list[str]()
        for spec in fields:
            if spec.kind == "photo":
                photo_data = raw[spec.name]
                result[spec.name], photo = normalize_photo(photo_data, spec.name, limits)
                size = photo.size
                del photo  # not needed beside its mask
            else:
                mask = self._mask(spec.name, raw[spec.name], size, photo_data, limits)
                check_mask(mask.image, size, mask.marks)
                result[spec.name], warnings = encode(mask.image), [*warnings, *mask.warnings]
        return result, warnings

    def _mask(
        self, name: str, data: bytes, size: tuple[int, int], photo: bytes, limits: ImageLimits
    ) -> Mask:
        picture = self.given[name]
        if isinstance(picture, PhotoAlphaMask):
            return alpha_mask(photo, "the photo", limits)
        if isinstance(picture, AlphaMask):
            return alpha_mask(data, name, limits, "save it with the hole erased to alpha 0")
        if isinstance(picture, BoxMask):
            return box_mask(picture.box, size)
        return read_mask(data, name, limits)

    def _read(self, name: str) -> bytes:
        picture = self.given[name]
        if isinstance(picture, UploadedFile):
            return picture.data
        return self._read_earlier(name, picture) if isinstance(picture, EarlierImage) else b""

    def _read_earlier(self, name: str, picture: EarlierImage) -> bytes:
        store, where = self.services.store, f"/jobs/{picture.job_id}/images/{picture.index}"
        job = self.caller.get_visible(store.get(picture.job_id))
        if job is None or job.status is Status.expired:
            raise Problem(
                422, f"{name}: there is no {where} any more, or there never was; send a picture."
            )
        if not job.status.final:
            detail = f"{name}: {where} is not finished yet; wait for that job first."
            raise Problem(409, detail, retry_after=1)
        record = next((i for i in job.images if i.index == picture.index and not i.error), None)
        if record is None:
            raise Problem(422, f"{name}: that job has no image {picture.index}.")
        try:
            return self.services.blobs.get(record.blob)
        except BlobMissing as error:
            again = store.get(picture.job_id)
            if again and not again.erasing and again.status is not Status.expired:
                raise
            raise Problem(422, f"{name}: {where} has been erased.") from error
