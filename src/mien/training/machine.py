"""The machine a run is on: device, precision, other processes (by Hugging Face accelerate), signals, batch thread."""

from __future__ import annotations

import atexit
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import FrameType
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from mien.core.errors import MienError, RequestError
from mien.core.memory import keep_freed_memory
from mien.core.precision import Precision, chosen_precision


def _leave() -> None:
    """Part from the other processes before the interpreter goes: a group left standing may abort the process."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@dataclass(frozen=True, slots=True)
class Machine:
    """This process among ``world`` processes (GPUs, nodes), and what they do together."""

    device: torch.device
    rank: int
    world: int
    precision: Literal["fp32", "bf16"]
    state: Any  # accelerate.PartialState

    @classmethod
    def open(cls, device: Literal["auto", "cpu", "cuda"], precision: Precision) -> Self:
        """Join the processes that ``accelerate launch`` started, or be the only one.

        ``precision`` "auto" becomes what is faster on the device. ``RequestError``: no CUDA here.
        """
        try:
            from accelerate import PartialState
        except ImportError as error:
            raise MienError("training needs Hugging Face accelerate: pip install 'mien[train]'") from error
        if device == "cuda" and not torch.cuda.is_available():
            raise RequestError("device: 'cuda' is not available on this machine; allowed here: cpu, auto")
        state = PartialState(cpu=device == "cpu" or not torch.cuda.is_available())
        if state.num_processes > 1:
            atexit.unregister(_leave)
            atexit.register(_leave)
        if state.device.type == "cpu":
            keep_freed_memory()
        return cls(
            state.device,
            int(state.process_index),
            int(state.num_processes),
            chosen_precision(precision, state.device),
            state,
        )

    def autocast(self) -> AbstractContextManager[Any]:
        """Mixed precision for forward passes: weights stay fp32, products are bf16 (no loss scaling is needed)."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def seed(self, seed: int) -> None:
        """Seed torch's global generators, for dropout (on a CPU without the costly book-keeping for CUDA)."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def wait(self) -> None:
        """Until all processes are here."""
        self.state.wait_for_everyone()

    @torch.no_grad()
    def average(self, total: Tensor, gradients: Sequence[Tensor]) -> Tensor:
        """A scalar, and in place the gradients, averaged over all processes in one call."""
        if self.world == 1:
            return total
        from accelerate.utils import reduce

        flat = torch.cat([total.reshape(1).float(), *(gradient.reshape(-1).float() for gradient in gradients)])
        flat = reduce(flat, reduction="mean")
        parts = flat[1:].split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))
        mean: Tensor = flat[0]
        return mean

    def any_rank(self, wanted: str | None) -> str | None:
        """``wanted``; "another process" where only another rank wants something, so that all ranks stop at one step."""
        if self.world == 1:
            return wanted
        from accelerate.utils import reduce

        flag = reduce(torch.tensor(float(wanted is not None), device=self.device), reduction="sum")
        return (wanted or "another process") if float(flag) > 0 else None

    @torch.no_grad()
    def broadcast(self, modules: Sequence[nn.Module]) -> None:
        """Copy the parameters and buffers of rank 0 to every rank."""
        from accelerate.utils import broadcast

        for module in modules:
            for tensor in [*module.parameters(), *module.buffers()]:
                tensor.copy_(broadcast(tensor.detach().clone()))


@dataclass
class StopRequest:
    """The name of the signal that asked for an end, once it came."""

    signal: str | None = None


@contextmanager
def asked_to_stop() -> Iterator[StopRequest]:
    """SIGTERM and Ctrl-C ask for a checkpoint and an end after the running step; a second Ctrl-C ends at once."""
    asked = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, frame: FrameType | None) -> None:
        if asked.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.signal = signal.Signals(number).name

    old = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def batches_ahead(
    batch_at: Callable[[int], Mapping[str, Any]], numbers: Iterator[int], ahead: int
) -> Iterator[Iterator[Mapping[str, Any]]]:
    """The batches of ``numbers`` in order, up to ``ahead`` of them made early in one background thread."""
    if ahead <= 0:
        yield map(batch_at, numbers)
        return
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")

    def stream() -> Iterator[Mapping[str, Any]]:
        waiting: list[Future[Mapping[str, Any]]] = []
        for number in numbers:
            waiting.append(pool.submit(batch_at, number))
            if len(waiting) > ahead:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()

    try:
        yield stream()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
