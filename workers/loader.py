"""Where a worker's pipelines come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from models.pipeline import Pipeline

Key = tuple[str, str, str]  # bundle, task, method


class Loader(Protocol):
    """Hands out pipelines."""

    def get(self, bundle: str, task: str, method: str) -> Pipeline[Any]:
        """The pipeline. Raises ModelsError when there is none."""
        ...

    def loaded(self) -> list[Key]: ...

    def servable(self) -> list[str]:
        """Tasks that there are pipelines for."""
        ...
