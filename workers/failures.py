"""What an exception means: for the job, for the batch, and for the process."""

from __future__ import annotations

import sys

from jobs.errors import BlobMissing, ImageProblem
from jobs.job import ErrorCode, Failure
from models.errors import BundleError, InputProblem, ModelsError, UnknownBundle

_FATAL = (
    "cuda error",
    "device-side assert",
    "illegal memory access",
    "ecc error",
    "cudnn_status",
    "cublas_status",
)


def is_out_of_memory(error: BaseException) -> bool:
    """The device or the machine has no memory left; a smaller batch may fit."""
    torch = sys.modules.get("torch")  # not loaded: then it raised nothing either
    of_device = torch is not None and isinstance(error, torch.OutOfMemoryError)
    return of_device or isinstance(error, MemoryError)


def is_fatal(error: BaseException) -> bool:
    """The CUDA context is beyond repair, so the process must end; out of memory is not such a
    case.
    """
    if is_out_of_memory(error) or not isinstance(error, RuntimeError):
        return False
    text = str(error).lower()
    return any(mark in text for mark in _FATAL)


def to_failure(error: BaseException) -> Failure:
    """Code and sentence for the job's record."""
    if isinstance(error, InputProblem):
        known = error.code in ErrorCode.__members__
        return Failure(
            code=ErrorCode(error.code) if known else ErrorCode.bad_input, detail=error.detail
        )
    if isinstance(error, ImageProblem):
        return Failure(code=ErrorCode.bad_input, detail=error.detail)
    if isinstance(error, UnknownBundle):
        return Failure(code=ErrorCode.unknown_bundle, detail=str(error))
    if is_out_of_memory(error):
        detail = "The worker ran out of memory on this picture alone. Send a smaller photo."
        return Failure(code=ErrorCode.out_of_memory, detail=detail)
    if isinstance(error, BlobMissing):
        detail = "An input of this job is gone from the storage. Submit it again."
        return Failure(code=ErrorCode.storage, detail=detail)
    if isinstance(error, BundleError | ModelsError):
        return Failure(code=ErrorCode.model_error, detail=str(error))
    detail = f"The model failed on this input ({type(error).__name__}). The worker's log says more."
    return Failure(code=ErrorCode.model_error, detail=detail)
