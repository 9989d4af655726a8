"""One door to every data set: ``aviary`` by its name, anything else by its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jobs.captions import Vocabulary
from models.data.aviary_set import Aviary
from models.errors import ModelsError

if TYPE_CHECKING:
    from models.training.batch import TrainingData

AVIARY_SAMPLES = 6000  # geometries in Aviary unless a caller asks for another number


class DataProblem(ModelsError):
    """A data set cannot be used as asked; the text says what to do."""


def open_data(
    where: str | Path,
    *,
    size: int,
    split: str = "train",
    vocabulary: Vocabulary | None = None,
    captions: int = 0,
    limit: int | None = None,
    prepared: Path | None = None,
) -> TrainingData:
    """One split of a data set at ``size`` pixels.

    vocabulary: the words that captions are written in, the data set's own when None; captions:
    further captions of each picture for the part synthesis; limit: use so many pictures at most;
    prepared: the folder that ``data prepare`` wrote, when it is not in the cache.
    """
    if str(where) != "aviary":
        raise DataProblem(f"{where}: photo folders cannot be opened yet; use --data aviary.")
    data = Aviary(size, limit or AVIARY_SAMPLES, split, captions=captions)
    if vocabulary is not None and vocabulary.words != data.vocabulary.words:
        raise DataProblem(
            "The encoders were trained with other words than Aviary's; "
            "choose encoders trained on Aviary, or the data set that these were trained on."
        )
    return data
