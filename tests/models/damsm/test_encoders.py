"""Text and image encoders and what matches them."""

from __future__ import annotations

import pytest
import torch

from models.damsm.image_encoder import CompactEncoderConfig, CompactImageEncoder
from models.damsm.losses import contrastive_loss, sentence_scores, word_scores
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig, padding


@pytest.mark.parametrize("rnn", ["lstm", "gru"])
def test_captions_do_not_depend_on_their_batch(rnn: str) -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(TextEncoderConfig(20, 6, 8, rnn)).eval()
    ids = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]])
    words, sentence = encoder(ids, torch.tensor([4, 2]))
    assert words.shape == (2, 8, 4)
    assert words[1, :, 2:].abs().max() == 0
    alone, whole = encoder(ids[1:, :2], torch.tensor([2]))
    assert torch.allclose(words[1:, :, :2], alone, atol=1e-6)
    assert torch.allclose(sentence[1:], whole, atol=1e-6)


def test_empty_captions_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least one known word"):
        TextEncoder(TextEncoderConfig(5, 4, 4))(
            torch.zeros(1, 2, dtype=torch.int64), torch.tensor([0])
        )


def test_padding() -> None:
    assert padding(torch.tensor([2, 3]), 3).tolist() == [[False, False, True], [False] * 3]


def test_image_features() -> None:
    torch.manual_seed(0)
    encoder = CompactImageEncoder(CompactEncoderConfig(64, (2, 4), 8, 16)).eval()
    images = torch.rand(2, 3, 48, 48) * 2 - 1
    regions, code = encoder(images)
    assert regions.shape == (2, 16, 4, 4)
    assert code.shape == (2, 16)
    photo = encoder.photo(images)
    channels, detail = encoder.photo_channels
    assert photo.regions.shape[:2] == (2, channels)
    assert photo.detail.shape == (2, detail, 24, 24)
    assert torch.allclose(photo.code, code)


def test_the_trunk_stays_frozen() -> None:
    encoder = CompactImageEncoder(CompactEncoderConfig(64, (2, 4), 8, 16)).train()
    assert not encoder.trunk.training
    assert not any(p.requires_grad for p in encoder.trunk.parameters())
    assert encoder.head.training


def test_matching_pairs_score_best() -> None:
    torch.manual_seed(0)
    codes = torch.randn(4, 16)
    classes = torch.arange(4)
    good = sum(contrastive_loss(sentence_scores(codes, codes), classes))
    bad = sum(contrastive_loss(sentence_scores(codes, codes.roll(1, 0)), classes))
    assert good < bad
    words = torch.randn(4, 16, 3)
    regions = words[..., None].expand(-1, -1, -1, 3)
    lengths = torch.tensor([3, 3, 3, 3])
    scores = word_scores(regions, words, lengths)
    assert (scores.argmax(1) == classes).all()


def test_pairs_of_one_class_are_no_negatives() -> None:
    scores = torch.tensor([[5.0, 5.0], [5.0, 5.0]])
    apart = sum(contrastive_loss(scores, torch.tensor([0, 1])))
    same = sum(contrastive_loss(scores, torch.tensor([0, 0])))
    assert float(same) == pytest.approx(0, abs=1e-6)
    assert float(apart) > 0.5
