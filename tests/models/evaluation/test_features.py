"""Feature networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from models.damsm.efficientnet import EfficientNetLite0, EfficientNetLiteClassifier
from models.evaluation import features
from models.evaluation.inception import InceptionFileError, fid_network, load_inception
from models.evaluation.pictures import Pictures


def test_classifiers_see_what_a_photo_shows_of_nothing() -> None:
    """Both have a trunk of their own width and 1,000 classes."""
    for variant, width in ((0, 320), (2, 352)):
        network = EfficientNetLiteClassifier(variant)
        pooled, logits = network(torch.zeros(2, 3, 64, 64))
        assert network.trunk.widths[-1] == width
        assert (pooled.shape, logits.shape) == ((2, 1280), (2, 1000))
        assert not any(p.requires_grad for p in network.parameters())


def test_lite0_has_its_old_blocks() -> None:
    assert EfficientNetLite0(10).widths == [16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112]
    with pytest.raises(ValueError, match="16 blocks"):
        EfficientNetLite0(16)


def test_lite2_features_do_not_depend_on_the_batch() -> None:
    network = features.Lite2Features(side=32)
    pictures = torch.rand(3, 3, 16, 16) * 2 - 1
    together, alone = network.features(pictures), network.features(pictures, batch=1)
    assert together.pooled.shape == (3, 1280)
    assert torch.allclose(together.logits, alone.logits, atol=1e-3)


def test_features_are_kept_for_the_same_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    looked: list[int] = []

    def make(k: int) -> Image.Image:
        looked.append(k)
        return Image.new("RGB", (32, 32), (k, 0, 0))

    network, pictures = features.Lite2Features(side=32), Pictures(make, range(3))
    first = features.cached_features(network, pictures, "three")
    made = len(looked)
    again = features.cached_features(network, pictures, "three")
    assert len(looked) == made
    other = features.cached_features(network, Pictures(make, range(2)), "two")
    assert len(looked) > made
    assert torch.equal(first.pooled, again.pooled)
    assert len(other.pooled) == 2


def test_inception_of_fid_is_read_and_named(tmp_path: Path) -> None:
    path = tmp_path / "inception.pth"
    torch.save(fid_network().state_dict(), path)
    network = load_inception(path)
    seen = network.features(torch.zeros(2, 3, 32, 32), batch=1)
    assert network.name == "inception-v3-fid"
    assert (seen.pooled.shape, seen.logits.shape) == ((2, 2048), (2, 1008))


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(InceptionFileError, match="no Inception-v3"):
        load_inception(path)


def test_inception_looks_without_antialiasing(tmp_path: Path) -> None:
    torch.save(fid_network().state_dict(), tmp_path / "inception.pth")
    network = load_inception(tmp_path / "inception.pth")
    seen: list[torch.Tensor] = []
    network.network.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    large = torch.rand(1, 3, 640, 640, generator=torch.Generator().manual_seed(0)) * 2 - 1
    network.features(large)
    k = 640 * (torch.tensor([0.0, 150.0, 298.0]) + 0.5) / 299 - 0.5  # where a pixel lies
    near = k.long()
    part = k - near
    for row in range(3):  # bilinear of the four nearest pixels alone
        y, x, dy, dx = near[row], near[row], part[row], part[row]
        square = large[0, :, y : y + 2, x : x + 2]
        rows = square[:, 0] * (1 - dy) + square[:, 1] * dy
        expected = rows[:, 0] * (1 - dx) + rows[:, 1] * dx
        found = seen[0][0, :, (0, 150, 298)[row], (0, 150, 298)[row]]
        assert torch.allclose(found, expected, atol=1e-4)
