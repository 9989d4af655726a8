"""What exceptions mean."""

from __future__ import annotations

import pytest
import torch

from jobs.errors import BlobMissing, ImageProblem
from jobs.job import ErrorCode
from models.errors import BundleError, InputProblem, UnknownBundle
from workers.failures import is_fatal, is_out_of_memory, to_failure


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputProblem("no_known_words", "x"), ErrorCode.no_known_words),
        (InputProblem("something_new", "x"), ErrorCode.bad_input),
        (ImageProblem("x"), ErrorCode.bad_input),
        (UnknownBundle("x"), ErrorCode.unknown_bundle),
        (BundleError("x"), ErrorCode.model_error),
        (BlobMissing("x"), ErrorCode.storage),
        (torch.OutOfMemoryError("x"), ErrorCode.out_of_memory),
        (MemoryError(), ErrorCode.out_of_memory),
        (ZeroDivisionError("x"), ErrorCode.model_error),
    ],
)
def test_codes(error: Exception, code: ErrorCode) -> None:
    failure = to_failure(error)
    assert failure.code is code
    assert failure.detail


def test_only_a_broken_device_is_fatal() -> None:
    assert is_fatal(RuntimeError("CUDA error: device-side assert triggered"))
    assert not is_fatal(torch.OutOfMemoryError("CUDA error: out of memory"))
    assert not is_fatal(RuntimeError("shape mismatch"))
    assert is_out_of_memory(MemoryError())
