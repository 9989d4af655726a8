"""The editor that SISGAN (Dong et al., ICCV 2017) and TAGAN (Nam et al., NeurIPS 2018) share: an
encoder, residual blocks conditioned on the text, a decoder. What each does differently is built by
its own network. Keys as published.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers import Nearest, conv3, leaky
from models.runtime.precision import autocast_disabled


class Edited(NamedTuple):
    """picture [B,3,S,S] in [-1,1]; mu and log_sigma [B,C] of the conditioning (a standard
    deviation's logarithm, not a variance's); encoded: the photo's features [B,E,s,s].
    """

    picture: Tensor
    mu: Tensor
    log_sigma: Tensor
    encoded: Tensor


class _Head(nn.Sequential):
    """All that the text says passes here: a linear layer, for which see :class:`KeepInFp32`."""

    keep_in_fp32 = ("0",)


class Editor(nn.Module):
    """encoder, residual_blocks and decoder are the subclass's; skip: whether the photo's features
    go around the residual blocks.
    """

    skip: bool
    encoder: nn.Module
    residual_blocks: nn.Module
    decoder: nn.Module

    def __init__(self, sentence: int, condition: int, bias: bool) -> None:
        super().__init__()
        self.mu = _Head(nn.Linear(sentence, condition, bias), leaky())
        self.log_sigma = _Head(nn.Linear(sentence, condition, bias), leaky())

    def edit(self, images: Tensor, sentence: Tensor, noise: Tensor) -> Edited:
        """images [B,3,S,S] in [-1,1], sentence [B,D], noise [B,C] from N(0,1): always drawn."""
        mu, log_sigma = self.mu(sentence), self.log_sigma(sentence)
        encoded = self.encoder(images)
        with autocast_disabled(sentence):
            condition = mu.float() + log_sigma.float().exp() * noise
        inside = self.residual_blocks(tile(encoded, condition))
        picture = self.decoder(encoded + inside if self.skip else inside)
        return Edited(picture, mu, log_sigma, encoded)


def tile(features: Tensor, condition: Tensor) -> Tensor:
    """Features [B,E,h,w] with a vector [B,C] beside every cell."""
    tiled = condition.to(features.dtype)[:, :, None, None].expand(-1, -1, *features.shape[2:])
    return torch.cat([features, tiled], 1)


class Residual(nn.Module):
    """Two convolutions beside the identity; ``after`` what follows the sum."""

    def __init__(self, channels: int, after: nn.Module) -> None:
        super().__init__()
        first = conv3(channels, channels), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        self.encoder = nn.Sequential(*first, conv3(channels, channels), nn.BatchNorm2d(channels))
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(x + self.encoder(x))


def encoder(widths: Sequence[int]) -> nn.Sequential:
    """3×3 convolution, then halvings to each further width."""
    layers: list[nn.Module] = [conv3(3, widths[0], bias=True), nn.ReLU(inplace=True)]
    for a, b in pairwise(widths):
        convolution = nn.Conv2d(a, b, 4, 2, 1, bias=False)
        layers += [convolution, nn.BatchNorm2d(b), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def decoder(widths: Sequence[int]) -> nn.Sequential:
    """Doublings from the first width to each further one, then pixels."""
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [Nearest(), conv3(a, b), nn.BatchNorm2d(b), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, conv3(widths[-1], 3, bias=True), nn.Tanh())


def gru_states(cell: nn.GRUCell, vectors: Tensor, pad: Tensor, *, backward: bool = False) -> Tensor:
    """The cell's state after each word, [B,T,H], from zero; a padded word leaves it as it is.
    vectors [B,T,D]; pad bool [B,T].

    A loop over words treats rows apart, never looks at lengths on the host, and so can be captured
    as a CUDA graph.
    """
    with autocast_disabled(vectors):
        given = functional.linear(vectors.float(), cell.weight_ih, cell.bias_ih)
        state = given.new_zeros(len(given), cell.hidden_size)
        places = range(given.shape[1])
        states: dict[int, Tensor] = {}
        for t in reversed(places) if backward else places:
            state = torch.where(pad[:, t, None], state, _next_state(cell, given[:, t], state))
            states[t] = state
        return torch.stack([states[t] for t in places], 1)


def _next_state(cell: nn.GRUCell, given: Tensor, state: Tensor) -> Tensor:
    """:class:`torch.nn.GRUCell` after its product with the input, [B,3H]."""
    reset, update, new = given.chunk(3, 1)
    own = functional.linear(state, cell.weight_hh, cell.bias_hh).chunk(3, 1)
    update = (update + own[1]).sigmoid()
    new = (new + (reset + own[0]).sigmoid() * own[2]).tanh()
    return new + update * (state - new)
