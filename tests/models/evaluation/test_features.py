"""Feature networks and distances between sets of features."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.damsm.efficientnet import EfficientNetLite0, EfficientNetLite2, imagenet_state
from models.evaluation import features
from models.evaluation.inception import InceptionFileError, fid_network, load_inception


def clouds(shift: float = 0.0) -> Tensor:
    return torch.randn(60, 8, generator=torch.Generator().manual_seed(3)) + shift


def test_both_ways_to_the_frechet_distance_agree() -> None:
    made, real = clouds()[:30] * 1.5 + 0.3, clouds()[30:]
    assert features.frechet(made, real) == pytest.approx(features.fid(made, real), rel=1e-3)


def test_frechet_distance_of_a_shift_is_its_square() -> None:
    assert features.frechet(clouds(0.5), clouds()) == pytest.approx(8 * 0.25, abs=1e-3)


def test_kid_is_about_zero_for_one_distribution_and_positive_for_two() -> None:
    assert abs(features.kid(clouds()[:30], clouds()[30:])) < 0.3
    assert features.kid(clouds(1.0), clouds()) > 1


def test_inception_score_of_certain_and_varied_answers() -> None:
    certain = torch.eye(5).repeat(400, 1) * 50
    assert features.inception_score(certain) == pytest.approx(5, abs=0.3)
    assert features.inception_score(torch.zeros(50, 5)) == pytest.approx(1)


def test_every_set_metric_carries_its_network() -> None:
    seen = features.Features(clouds(), clouds())
    found = features.set_metrics(seen, seen, "some-network")
    assert set(found) == {"is_some-network", "fid_some-network", "kid_some-network"}
    assert all(e.low is not None for e in found.values())


def test_diversity_is_relative_to_reality() -> None:
    groups = [clouds()[:16], clouds()[16:32]]
    assert features.diversity([g * 0.5 for g in groups], groups).value == pytest.approx(0.5)


def test_lite2_package_fits_the_network_strictly() -> None:
    features.Lite2Classifier().load_state_dict(imagenet_state(2))
    trunk = EfficientNetLite2()
    assert trunk.widths[-1] == 352
    assert len(trunk.widths) == 21


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
