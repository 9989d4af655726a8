"""``GET /models``: what the service can do, and with which words."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from app.gateway.dependencies import caller
from app.gateway.problems import Problem
from app.gateway.services import Given
from app.gateway.views import ModelsView, models_view

models_router = APIRouter(prefix="/models", tags=["models"], dependencies=[Depends(caller)])


class VocabularyView(BaseModel):
    """The words that a bundle knows, in alphabetical order, by task."""

    bundle: str
    tasks: dict[str, list[str]]


@models_router.get("", summary="List bundles")
async def models(services: Given) -> ModelsView:
    """Bundles, their tasks, methods, native sizes and licences, and each task's default."""
    return models_view(services.catalogue.now())


@models_router.get("/{bundle}/vocabulary", summary="List known words")
async def vocabulary(bundle: str, services: Given) -> VocabularyView:
    """Every word that the bundle's text encoders know; all others are left out with a warning."""
    catalogue = services.catalogue.now()
    info = catalogue.bundles.get(bundle)
    if info is None:
        names = ", ".join(catalogue.bundles) or "none"
        raise Problem(404, f"There is no such bundle; there are: {names}.")
    tasks = {name: sorted(task.vocabulary.words[1:]) for name, task in info.tasks.items()}
    return VocabularyView(bundle=bundle, tasks=tasks)
