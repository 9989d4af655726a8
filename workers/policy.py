"""What an operator's own code refuses, before and after the networks: ``MMML_POLICY``."""

from __future__ import annotations

import inspect
import logging
import pkgutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from models.errors import InputProblem

if TYPE_CHECKING:
    from jobs.requests import TaskRequest

log = logging.getLogger(__name__)
_PRIVATE = {"webhook", "batch", "priority"}  # fields that are no matter of what is drawn


class Policy(Protocol):
    """What ``MMML_POLICY`` names; either method may be absent. Both are called in threads of the
    worker, several at a time, and return a sentence for the client to refuse, None to allow. A call
    that raises, or returns anything else, refuses too. ``request`` has the fields that were
    submitted, ``task`` and ``texts``, all captions as strings; not who submitted it.
    """

    def before(self, request: Mapping[str, Any], images: Mapping[str, Image.Image]) -> str | None:
        """Asked once in each run of a job, before the networks. images: by field name, photos mode
        RGB, masks mode L with 255 = hole; not to be changed.
        """

    def after(self, request: Mapping[str, Any], image: Image.Image) -> str | None:
        """Asked of each generated image, each frame of an animation, before it is stored. image:
        mode RGB, as the client would get it; not to be changed.
        """


class PolicyHook:
    """Asks a :class:`Policy`; without one it costs nothing. Refusals have the code ``bad_input``:
    processes of an earlier version can't read records with a code of its own, and no job can be
    kept from them for it, as a refusal is not foreseen.
    """

    def __init__(self, policy: object = None) -> None:
        """Raises TypeError for what has no method, or one that can't be called so."""
        self._before = _method(policy, "before")
        self._after = _method(policy, "after")
        if policy is not None and not (self._before or self._after):
            raise TypeError("it has neither a method before nor a method after")

    def check_inputs(self, request: TaskRequest, images: Mapping[str, Image.Image]) -> None:
        """Raises InputProblem for a request that is refused."""
        if self._before:
            _ask(self._before, request, images)

    def check_image(self, request: TaskRequest, image: Image.Image) -> None:
        """Raises InputProblem for an image that is refused."""
        if self._after:
            _ask(self._after, request, image)


def load_policy(name: str) -> PolicyHook:
    """Of ``package.module:name``, or of "" one that allows everything. Raises SystemExit."""
    try:
        return PolicyHook(pkgutil.resolve_name(name) if name else None)
    except Exception as error:  # of whatever its module does
        log.exception("the policy can't be loaded")
        raise SystemExit(
            f"mmml: MMML_POLICY={name} can't be used: {error}. Write package.module:name of an "
            "object with a method before or after, and put its folder on PYTHONPATH."
        ) from error


def _method(policy: object, name: str) -> Callable[..., object] | None:
    method = getattr(policy, name, None)
    if method is not None:
        inspect.signature(method).bind(None, None)  # TypeError, such as for a class
    return method


def _ask(method: Callable[..., object], request: TaskRequest, inspected: object) -> None:
    fields = request.model_dump(exclude=_PRIVATE)
    try:
        answer = method({**fields, "task": request.task, "texts": request.texts}, inspected)
        if answer is not None and not (isinstance(answer, str) and answer.strip()):
            raise TypeError(f"the policy returned {type(answer).__name__}, not None or a sentence")
    except Exception:
        log.exception("the policy failed, so that this is refused")
        sentence = "It could not be checked whether this is allowed. Try again later."
        raise InputProblem("internal", sentence) from None
    if answer is not None:
        raise InputProblem("bad_input", answer)
