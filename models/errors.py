"""What can go wrong in this room; every message is a sentence a person can act on."""

from __future__ import annotations


class ModelsError(Exception):
    """Base of every error raised on purpose by `models`."""


class BundleError(ModelsError):
    """A bundle folder cannot be read, or does not fit the networks; the text says what differs."""


class UnknownBundle(BundleError):
    """No such bundle, or the bundle does not offer the task or the method asked for."""


class Stopped(ModelsError):
    """Somebody stopped a training or a queue; nothing is lost. status: the exit status that says
    so.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class InputProblem(ModelsError):
    """One item's text, photo or mask cannot be used; other items of the batch are not touched."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
