"""SISGAN in the pipeline of edits. Its sentences are read by its own encoder over word vectors, or
by the DAMSM text encoder that it was trained with.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from models.bundle import Bundle, load_strict
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.errors import ModelsError
from models.manipulation.sisgan.network import SentenceEncoder, SisganConfig, SisganGenerator
from models.manipulation.vector_pipeline import VectorPipeline
from models.pipeline import config_from


class SisganPipeline(VectorPipeline):
    """See :class:`models.manipulation.pipeline.ManipulationPipeline`."""

    generator: SisganGenerator

    def __init__(self, bundle: Bundle, task: str, method: str, device: str, precision: str) -> None:
        super().__init__(bundle, task, method, device, precision)
        config = config_from(SisganConfig, self.spec.network, self.where)
        self.generator = self.load_editor(SisganGenerator(config))
        self.draws = (config.condition,)
        self.text: TextEncoder | None = None
        self.reader: SentenceEncoder | None = None
        if config.words:
            self.vectors = self.load_vectors(config.words)
            reader = self.reader = SentenceEncoder(config.words, config.sentence)
            load_strict(reader, bundle.state(task, "sentence_encoder"), f"{self.where}: sentences")
            self.prepare_module(reader)
        else:
            text = self.text = TextEncoder(
                config_from(TextEncoderConfig, self.spec.text_encoder, self.where)
            )
            load_strict(text, bundle.state(task, "text_encoder"), f"{self.where}: text encoder")
            self.prepare_module(text)

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
        sentence: Tensor = self.reader(vectors, pad)
        return sentence
