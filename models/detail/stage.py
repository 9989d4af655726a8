"""The detail stage of a bundle, as the pipelines of its tasks use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.bundle import Bundle, config_from, load_strict
from models.detail.network import DetailConfig, DetailNetwork

if TYPE_CHECKING:
    from models.pipeline import Pipeline

PART = "detail"  # of a bundle


def open_network(bundle: Bundle) -> DetailNetwork:
    """The network of the bundle's part "detail", in float32. Raises UnknownBundle, BundleError."""
    spec, where = bundle.task(PART), f"bundle {bundle.name!r}, {PART}"
    network = DetailNetwork(config_from(DetailConfig, spec.network, where))
    load_strict(network, bundle.state(PART, "network"), where)
    return network


class DetailStage:
    """The network of ``bundle.json``'s part "detail", on the device of the pipeline that asks.
    Raises BundleError.

    scale: by which it enlarges; sha256: of its weights file.
    """

    def __init__(self, pipeline: Pipeline[Any]) -> None:
        network = open_network(pipeline.bundle)
        self._pipeline, self._network = pipeline, pipeline.prepare_module(network)
        self.scale = network.config.scale
        self.sha256 = str(pipeline.bundle.task(PART).files["network"]["sha256"])

    @property
    def provenance(self) -> dict[str, Any]:
        """For the receipts of pictures that it made."""
        return {"detail": {"sha256": self.sha256, "scale": self.scale}}

    def enlarge(self, pictures: Tensor) -> Tensor:
        """Pictures [B,3,S,S] in [-1,1] to [B,3,scale·S,scale·S].

        On a CPU one after the other, which is as fast, and gives a picture the same bits in any
        batch.
        """
        on_cpu = self._pipeline.device.type == "cpu"
        parts = pictures.float().split(1 if on_cpu else len(pictures))
        layout = torch.channels_last
        made = [
            self._pipeline.compute(self._network, part.contiguous(memory_format=layout))
            for part in parts
        ]
        return torch.cat(made)
