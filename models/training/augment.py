"""DiffAugment (Zhao et al. 2020): random but differentiable changes to real and generated pictures
alike, so that a discriminator can't learn a small data set by heart.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import ModelsError
from models.training.noise import Noise


def colour(images: Tensor, noise: Noise, tag: str) -> Tensor:
    """Brightness ±0.5, saturation ×[0,2], contrast ×[0.5,1.5], each drawn per picture."""
    brightness, saturation, contrast = noise.uniform(f"{tag}/colour", 3).T[:, :, None, None, None]
    x = images + (brightness - 0.5)
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * (2 * saturation) + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (contrast + 0.5) + mean


def translation(images: Tensor, noise: Noise, tag: str) -> Tensor:
    """A shift of up to an eighth of the side, zeros coming in."""
    b, _, h, w = images.shape
    shift = (noise.uniform(f"{tag}/translation", 2) * 2 - 1) / 4  # grid coordinates span 2
    matrix = torch.eye(2, 3, device=images.device).repeat(b, 1, 1)
    for axis, side in enumerate((w, h)):  # whole pixels, so that nothing gets blurred
        matrix[:, axis, 2] = (shift[:, axis] * side / 2).round() * 2 / side
    grid = functional.affine_grid(matrix, [b, 1, h, w], align_corners=False)
    moved = functional.grid_sample(images.float(), grid, "nearest", align_corners=False)
    return moved.to(images.dtype)


def cutout(images: Tensor, noise: Noise, tag: str) -> Tensor:
    """A square of half the side set to zero, its centre anywhere."""
    h, w = images.shape[-2:]
    centre = noise.uniform(f"{tag}/cutout", 2)[:, :, None]
    rows = (torch.arange(h, device=images.device)[None] - centre[:, 0] * h).abs() <= h // 4
    columns = (torch.arange(w, device=images.device)[None] - centre[:, 1] * w).abs() <= w // 4
    hole = rows[:, :, None] & columns[:, None]
    return images * ~hole[:, None]


Change = Callable[[Tensor, Noise, str], Tensor]
CHANGES: dict[str, Change] = {"colour": colour, "translation": translation, "cutout": cutout}


def augment(images: Tensor, noise: Noise, tag: str, names: Sequence[str]) -> Tensor:
    """Pictures [B,3,S,S] changed by ``names`` in turn; tag tells draws of a step apart."""
    for name in names:
        images = CHANGES[name](images, noise, tag)
    return images


def parse_changes(given: str) -> tuple[str, ...]:
    """Names of changes from the comma separated form that options have. Raises ModelsError."""
    names = tuple(name for name in given.split(",") if name)
    if unknown := [name for name in names if name not in CHANGES]:
        raise ModelsError(f"augment knows {', '.join(CHANGES)}, not {', '.join(unknown)}.")
    return names
