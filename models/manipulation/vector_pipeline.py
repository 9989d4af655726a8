"""Edits by networks that read word vectors: SISGAN and TAGAN."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from models.damsm.text_encoder import padding
from models.errors import BundleError
from models.layers import fold_batch_norm
from models.manipulation.autoencoder import Editor
from models.manipulation.manigan.blocks import fold_blocks
from models.manipulation.pipeline import ManipulationPipeline

E = TypeVar("E", bound=Editor)


class VectorPipeline(ManipulationPipeline):
    """A subclass sets ``generator``, by :meth:`load_editor`, and ``vectors``."""

    generator: Editor
    vectors: nn.Module  # of every word of the vocabulary, zeros for padding

    def load_editor(self, network: E) -> E:
        """The network with the bundle's weights, ready to serve."""
        folded = fold_batch_norm(self.load_state(network, "generator").eval())
        return self.prepare_module(fold_blocks(folded, self.device.type))

    def load_vectors(self, width: int) -> nn.Module:
        """Raises BundleError unless there is a vector of ``width`` numbers for every word."""
        table = self.bundle.state(self.task, "word_vectors").get("weight", torch.zeros(0))
        if table.shape != (len(self.vocabulary), width):
            raise BundleError(
                f"{self.where}: word_vectors holds {list(table.shape)} numbers, and "
                f"{len(self.vocabulary)} words need {[len(self.vocabulary), width]}; import the "
                "bundle again."
            )
        return nn.Embedding.from_pretrained(table).to(self.device)

    @abstractmethod
    def read_vectors(self, vectors: Tensor, pad: Tensor) -> Tensor:
        """Word vectors [B,T,D] and pad bool [B,T] → what the generator needs of them [B,S]."""

    def look_up(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Vectors [B,T,D] of captions and where they are padded, as :meth:`compute` wants them."""
        ids, lengths = self.captions(rows)
        vectors, pad = self.vectors(ids).transpose(1, 2), padding(lengths, ids.shape[1])
        vectors, pad = self.pad_words(vectors, pad)
        return vectors.transpose(1, 2), pad

    def read_captions(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, ...]:
        if self.precision == "float32" or self.device.type != "cpu":
            return (self.compute(self.read_vectors, *self.look_up(rows)),)
        # One by one, for the reason that batch_invariant_linear has.
        return (torch.cat([self.read_vectors(*self.look_up([row])) for row in rows]),)

    def _edit(self, *inputs: Tensor) -> Tensor:
        noise, sentence, photos = inputs
        return self.generator.edit(photos, sentence, noise).picture

    def raw_outputs(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """image [B,3,S,S] in [-1,1], vectors [B,T,D] and lengths [B] or sentence [B,S], noise [B,C]
        → sentence, image, mu, log_sigma, encoded.
        """
        known = "sentence" in given
        sentence = given["sentence"] if known else self.read_vectors(*padded(given))
        found = self.generator.edit(given["image"], sentence, given["noise"])._asdict()
        return {"sentence": sentence, "image": found.pop("picture"), **found}


def padded(given: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Vectors [B,T,D] of a raw run, and where its lengths [B] say that they are padded."""
    vectors = given["vectors"]
    return vectors, padding(given["lengths"].cpu(), vectors.shape[1]).to(vectors.device)
