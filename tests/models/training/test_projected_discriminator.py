import torch

from models.training.projected_discriminator import ProjectedConfig, ProjectedDiscriminator

CONFIG = ProjectedConfig(input_size=32, mixed=8, width=8, sentence=6)


def discriminator() -> ProjectedDiscriminator:
    torch.manual_seed(0)
    return ProjectedDiscriminator(CONFIG)


def test_each_position_of_each_head_votes() -> None:
    found = discriminator()
    features = found.features(torch.rand(4, 3, 64, 64) * 2 - 1)
    sides = [f.shape[-1] for f in features]
    assert len(features) == len(CONFIG.taps)
    assert max(sides) <= CONFIG.deepest
    logits = found.logits(features, torch.randn(4, 6))
    assert logits.shape == (4, sum(s * s for s in sides))


def test_the_sentence_matters_and_the_trunk_stays() -> None:
    found = discriminator().train()
    features = found.features(torch.rand(4, 3, 32, 32) * 2 - 1)
    one, two = (found.logits(features, torch.randn(4, 6)) for _ in range(2))
    assert not torch.equal(one, two)
    one.mean().backward()
    trained = {n for n, p in found.named_parameters() if p.grad is not None}
    assert trained
    assert not any(n.startswith("trunk") or ".mix." in n for n in trained)
    assert not found.trunk.training


def test_gradients_reach_the_pictures() -> None:
    images = (torch.rand(4, 3, 32, 32) * 2 - 1).requires_grad_(True)
    found = discriminator()
    found.logits(found.features(images), torch.randn(4, 6)).mean().backward()
    assert images.grad is not None
    assert images.grad.abs().amax((1, 2, 3)).min() > 0
