"""A pipeline: one task of one bundle, loaded. Plain values and PIL images in, PIL images out.

The three steps may run in different threads: :meth:`Pipeline.prepare` and :meth:`Pipeline.finish`
handle one item each, :meth:`Pipeline.forward` alone needs the networks and takes a batch.
:meth:`Pipeline.run` does all of it in place.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from jobs.captions import EncodedCaption, Word
from models.bundle import Bundle, TaskSpec, load_strict
from models.bundle import config_from as config_from
from models.damsm.text_encoder import TextEncoder, open_text_encoder, pad_rows, padding
from models.detail.stage import PART as DETAIL
from models.detail.stage import DetailStage
from models.errors import InputProblem, ModelsError
from models.explanation import Explanation
from models.item import Item as Item
from models.runtime.cpu.traces import OF_PROCESS, TracedModule
from models.runtime.cuda_graphs import (
    SIZES,
    CudaGraphRunner,
    cuda_graph,
    forget_all,
    pad_tokens,
    round_up_batch,
    token_widths,
)
from models.runtime.device import leave_default_stream, to_device, to_host
from models.runtime.device import prepare as prepare_device
from models.runtime.precision import PRECISIONS, cast_weights

P = TypeVar("P")
M = TypeVar("M", bound=nn.Module)
Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class OutputWithAttention:
    """What forward gives where there is more than pixels to tell: for an item that is to be
    explained what the networks looked at, in the pipeline's own terms; for one with candidates
    which of them this is.
    """

    pixels: Pixels
    maps: Any = None
    candidate: int = 0


Output = Pixels | OutputWithAttention


@dataclass(frozen=True)
class RunResult:
    """Per item its picture, or why there is none; seconds in the networks; explanations by the
    place of the items that asked for one.
    """

    pictures: list[Image.Image | ModelsError]
    seconds: float
    explanations: Mapping[int, Explanation] = field(default_factory=dict)


class Pipeline(ABC, Generic[P]):
    """Base of all pipelines; ``P`` is what prepare returns and forward takes.

    best_batch: most pictures of a forward pass that pay, None while nobody has measured it; detail:
    what enlarges the networks' pictures, where the bundle has it and the method ``enlarges``;
    reads_text: whether its method looks at words; traced: whether its networks take the same steps
    whatever the values that they are given; traces_batches: whether the batch alone gives the shape
    of what they are given; allowance: of traces.
    """

    best_batch: int | None = None
    detail: DetailStage | None = None
    reads_text = True
    enlarges = True
    traced = True
    traces_batches = False
    allowance = OF_PROCESS

    def __init__(self, bundle: Bundle, task: str, method: str, device: str, precision: str) -> None:
        if precision not in PRECISIONS:
            raise ModelsError(
                f"Unknown precision {precision!r}; there are {', '.join(PRECISIONS)}."
            )
        self.bundle, self.task, self.method = bundle, task, method
        self.device, self.precision = torch.device(device), precision
        prepare_device(self.device)
        self.spec: TaskSpec = bundle.task(task)
        self.vocabulary = bundle.vocabulary(task)
        self.where = f"bundle {bundle.name!r}, {task}"  # in errors
        self._runners: dict[Callable[..., Tensor], CudaGraphRunner | TracedModule] = {}
        self.load_networks()
        if self.enlarges and DETAIL in bundle.tasks:
            self.detail = DetailStage(self)

    def load_networks(self) -> None:
        """Build the bundle's networks, for a method that has any."""

    @abstractmethod
    def prepare(self, item: Item) -> P:
        """Everything that needs no network. Raises InputProblem when the item can't be used."""

    @abstractmethod
    def forward(self, batch: Sequence[P]) -> Sequence[Output]:
        """The networks: one array [H,W,3] in [0,1] per prepared item (inpainting: one per square,
        stacked), with what was looked at where an item asks for it.
        """

    @abstractmethod
    def finish(self, prepared: P, pixels: Pixels) -> Image.Image:
        """The picture, mode RGB."""

    def explain(self, prepared: P, maps: Any) -> Explanation:
        """What :class:`OutputWithAttention` holds, over the whole picture."""
        raise ModelsError(f"Method {self.method!r} does not explain its pictures.")

    def raw_outputs(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The networks' outputs by name, from tensors by name (:mod:`models.forward`)."""
        raise ModelsError(f"Raw runs of {self.task!r} by {self.method!r} are not known.")

    @abstractmethod
    def example(self) -> Item:
        """A valid item, for warming up."""

    def finish_output(self, prepared: P, output: Output) -> tuple[Image.Image, Explanation | None]:
        """The picture, and its explanation if the item asked for one."""
        if not isinstance(output, OutputWithAttention):
            return self.finish(prepared, output), None
        explanation = None if output.maps is None else self.explain(prepared, output.maps)
        return self.finish(prepared, output.pixels), explanation

    def candidate(self, prepared: P, output: Output) -> int:
        """Which of its item's candidates an output is."""
        return output.candidate if isinstance(output, OutputWithAttention) else 0

    @property
    def serving(self) -> Mapping[str, Any]:
        """Fields of :class:`Item` as the bundle serves requests that leave them open."""
        return self.spec.serving

    def with_serving_options(self, item: Item, **given: Any) -> Item:
        """The item with the bundle's serving options, or those given."""
        return replace(item, **{**self.serving, **given})

    def provenance(self, prepared: P) -> dict[str, Any]:
        """What else a receipt says of how the picture is made, beside weights and method."""
        return {}

    def examples(self, count: int) -> list[Item]:
        """Valid items that differ in seed and words, for measuring."""
        words = self.vocabulary.words[1:] or ("",)
        item = self.example()
        return [
            replace(item, seed=k, index=k, text=" ".join(words[k % len(words) :][: 1 + k % 8]))
            for k in range(count)
        ]

    def usual_batch(self, prepared: Sequence[P]) -> tuple[Sequence[P], int]:
        """What jobs bring when so many pictures as these are drawn at a time, and how many pictures
        that is in all: for measuring.
        """
        return prepared, len(prepared)

    def run(self, items: Sequence[Item]) -> RunResult:
        """All three steps; an item that fails does not touch the others."""
        pictures: list[Image.Image | ModelsError] = []
        ready: list[tuple[int, P]] = []
        for item in items:
            try:
                ready.append((len(pictures), self.prepare(item)))
                pictures.append(ModelsError("not run"))
            except ModelsError as error:
                pictures.append(error)
        started = time.perf_counter()
        outputs = self.forward([p for _, p in ready]) if ready else []
        seconds = time.perf_counter() - started
        explanations = {}
        for (place, prepared), output in zip(ready, outputs, strict=True):
            try:
                pictures[place], explanation = self.finish_output(prepared, output)
            except ModelsError as error:
                pictures[place] = error
            else:
                if explanation:
                    explanations[place] = explanation
        return RunResult(pictures, seconds, explanations)

    def warm_up_batches(self, batch: int = 1) -> Iterator[Sequence[P]]:
        """Batches of up to ``batch`` for :meth:`forward`, so that the first client does not wait:
        on CUDA every size and width of captions is captured, on a CPU the usual widths of one are
        traced.
        """
        items, counts = [self.example()], [size for size in SIZES if size <= round_up_batch(batch)]
        if self.reads_text:
            widths, words = token_widths(self.spec.max_words), self.vocabulary.words[1:]
            items = [replace(items[0], text=" ".join((words * n)[:n])) for n in widths]
        if self.device.type != "cuda":
            items, counts = items[:2], [1, 1, batch]  # a trace is made when a shape comes again
        for prepared in map(self.prepare, items):
            for count in counts:
                yield [prepared] * count

    def weight_bytes(self) -> int:
        """Bytes of all weights of its networks, as they are in memory."""
        found = {t.data_ptr(): t.nbytes for t in _weights(self, set())}
        return sum(found.values())

    def free_memory(self) -> None:
        """Give cached memory back to the device, before a smaller batch is tried."""
        if self.device.type == "cuda":
            forget_all()
            torch.cuda.empty_cache()

    def encode(self, text: str) -> EncodedCaption:
        """The caption in the vocabulary's terms. Raises InputProblem without a known word."""
        spec = self.spec
        encoded = self.vocabulary.encode(text, tokenizer=spec.tokenizer, max_words=spec.max_words)
        if not encoded.ids:
            raise InputProblem(
                "no_known_words", f"Bundle {self.bundle.name!r} knows no word of this text."
            )
        return encoded

    def knows(self, text: str) -> bool:
        """Whether :meth:`encode` finds a word, which a method without words doesn't need."""
        if not self.reads_text:
            return True
        try:
            self.encode(text)
        except InputProblem:
            return False
        return True

    def locate_words(self, text: str) -> tuple[Word, ...]:
        """Every word of the text, with its place there and its column in what is encoded."""
        spec = self.spec
        return self.vocabulary.read(text, tokenizer=spec.tokenizer, max_words=spec.max_words)

    @cached_property
    def known_word(self) -> str:
        """A word for examples; none where the method has no vocabulary."""
        return next(iter(self.vocabulary.words[1:]), "")

    def captions(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """(ids int64 [B,L] zero padded, on the device, lengths int64 [B], on the CPU)."""
        ids, lengths = pad_rows(rows)
        return self.to_device(ids), lengths

    def encode_captions(
        self, text: TextEncoder, rows: Sequence[Sequence[int]], apart: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Word features [B,D,L], sentence features [B,D] and padding bool [B,L] (on the CPU).

        apart: before half precision on a CPU one caption after the other, for the reason that
        :func:`models.runtime.precision.batch_invariant_linear` has.
        """
        if not apart or self.precision == "float32" or self.device.type != "cpu":
            ids, lengths = self.captions(rows)
            words, sentence = text(ids, lengths)
            return words, sentence, padding(lengths, words.shape[2])
        read = [text(*self.captions([row])) for row in rows]
        lengths = torch.tensor([len(row) for row in rows])
        words = pad_sequence([w[0].T for w, _ in read], batch_first=True).transpose(1, 2)
        return words, torch.cat([s for _, s in read]), padding(lengths, words.shape[2])

    def to_device(self, x: Tensor) -> Tensor:
        """A tensor of the CPU on the pipeline's device."""
        return to_device(x, self.device)

    def compute(self, network: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """The network's output in the pipeline's precision. On CUDA it runs as a graph, and on a
        CPU as a trace as far as ``traced`` and ``traces_batches`` say, so it must treat the rows of
        its inputs apart and never look at values there.
        """
        on_cuda = self.device.type == "cuda"
        if on_cuda:
            leave_default_stream(self.device)
        elif not self.traced or (len(inputs[0]) > 1 and not self.traces_batches):
            # Several have too many shapes, and more work between Python's steps.
            with self.autocast():
                return network(*inputs)
        if network not in self._runners:
            self._runners[network] = (
                CudaGraphRunner(network, self._capture)
                if on_cuda
                else TracedModule(network, self.autocast, self.allowance)
            )
        return self._runners[network](*inputs)

    def _capture(
        self, network: Callable[..., Tensor], inputs: Sequence[Tensor]
    ) -> Callable[..., Tensor]:
        with self.autocast():
            return cuda_graph(network, inputs)

    def pad_words(self, words: Tensor, pad: Tensor) -> tuple[Tensor, Tensor]:
        """words [B,C,L] and pad [B,L] as :meth:`compute` wants them."""
        return pad_tokens(words, self.to_device(pad))

    def autocast(self) -> AbstractContextManager[Any]:
        """The pipeline's precision; nothing to do for float32."""
        if self.precision == "float32":
            return nullcontext()
        dtype = PRECISIONS[self.precision]
        return torch.autocast(self.device.type, dtype, cache_enabled=False)

    def load_state(self, module: M, role: str) -> M:
        """The module with the bundle's weights. Raises BundleError when they do not fit."""
        load_strict(module, self.bundle.state(self.task, role), f"{self.where}: {role}")
        return module

    def load_text_encoder(self) -> TextEncoder:
        """The task's own, ready to serve."""
        return self.prepare_module(open_text_encoder(self.bundle, self.task))

    def prepare_module(self, module: M) -> M:
        """The module on the device, frozen, channels last, in the pipeline's precision."""
        module.eval().requires_grad_(False)
        if self.precision != "float32":
            cast_weights(module, PRECISIONS[self.precision])
        return module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _weights(holder: object, visited: set[int]) -> Iterator[Tensor]:
    """Parameters and buffers of the networks that an object holds, and parts of it of this
    package, such as its detail stage.
    """
    for value in vars(holder).values():
        if isinstance(value, nn.Module):
            yield from chain(value.parameters(), value.buffers())
        elif id(value) not in visited and type(value).__module__.startswith(__package__):
            visited.add(id(value))
            yield from _weights(value, visited) if hasattr(value, "__dict__") else ()


def generator(seed: int) -> torch.Generator:
    """One picture's random source, on the CPU: a seed means the same on every device."""
    return torch.Generator().manual_seed(seed)


def returns_network(item: Item, native: bool) -> bool:
    """Whether the item gets the network's own pixels; ``native``: its photo has their size."""
    return native if item.fidelity is None else item.fidelity == "network"


def to_tensor(pixels: Pixels, device: torch.device) -> Tensor:
    """Stacked pictures [B,H,W,3] in [0,1] → [B,3,H,W] in [-1,1], channels last in memory."""
    square = to_device(torch.from_numpy(pixels), device).permute(0, 3, 1, 2)
    return (square * 2 - 1).contiguous(memory_format=torch.channels_last)


def to_pixels(pictures: Tensor) -> Pixels:
    """[B,3,H,W] in [-1,1] → [B,H,W,3] in [0,1] on the CPU, from CUDA in steps of 1/255, a quarter
    of the bytes. Raises ModelsError if a value is not finite.
    """
    levels = ((pictures.float().clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 1)
    if pictures.device.type == "cuda":
        finite = levels.isfinite().all()
        pixels = to_host((levels * 255).round().to(torch.uint8)).numpy() / np.float32(255)
    else:
        pixels = levels.numpy()
        finite = torch.tensor(np.isfinite(pixels).all())
    if not finite:
        raise ModelsError("The network returned values that are not finite.")
    return np.ascontiguousarray(pixels, np.float32)


def to_image(pixels: Pixels) -> Image.Image:
    """[H,W,3] in [0,1] → 8-bit RGB."""
    return Image.fromarray(np.round(pixels.clip(0, 1) * 255).astype(np.uint8))


def pattern(side: int) -> Image.Image:
    """A picture of soft coloured spots, always the same: an example photo."""
    spots = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    return Image.fromarray(spots).resize((side, side), Image.Resampling.BICUBIC)
