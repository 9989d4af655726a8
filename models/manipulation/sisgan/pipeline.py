"""SISGAN in the pipeline of edits. Its sentences are read by its own encoder over word vectors, or
by the DAMSM text encoder that it was trained with.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from models.damsm.text_encoder import TextEncoder
from models.errors import ModelsError
from models.manipulation.sisgan.network import SentenceEncoder, SisganConfig, SisganGenerator
from models.manipulation.vector_pipeline import VectorPipeline
from models.pipeline import config_from


class SisganPipeline(VectorPipeline):
    generator: SisganGenerator

    def load_networks(self) -> None:
        config = config_from(SisganConfig, self.spec.network, self.where)
        self.generator = self.load_editor(SisganGenerator(config))
        self.draws = (config.condition,)
        self.text: TextEncoder | None = None
        self.reader: SentenceEncoder | None = None
        if config.words:
            self.vectors = self.load_vectors(config.words)
            reader = SentenceEncoder(config.words, config.sentence)
            self.reader = self.prepare_module(self.load_state(reader, "sentence_encoder"))
        else:
            self.text = self.load_text_encoder()

    def read_captions(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, ...]:
        if self.text is None:
            return super().read_captions(rows)
        return (self.encode_captions(self.text, rows, apart=True)[1],)

    def read_vectors(self, vectors: Tensor, pad: Tensor) -> Tensor:
        if self.reader is None:
            raise ModelsError(
                f"{self.where} reads sentences by a DAMSM text encoder; give sentence instead of "
                "vectors."
            )
        return self.reader(vectors, pad)
