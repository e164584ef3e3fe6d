"""One way to do many like things: here, or on the workers of a Ray cluster. Items go in, records come out in order."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mien.core.errors import MienError, RequestError
from mien.core.limits import whole_number
from mien.core.progress import OnProgress

Item = TypeVar("Item")
Record = TypeVar("Record")
Work = Callable[[Item], Record]

ENGINES = ("local", "ray")


@dataclass(frozen=True, slots=True)
class Engine:
    """Who does the work. ``RequestError`` for what does not go together.

    ``address``: of a running cluster (host:port, or auto); None starts Ray on this machine for the run.
    ``workers``: processes, one core and one copy of the networks each; None: as many as the cluster has cores.
    """

    name: str = "local"
    address: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise RequestError(f"--engine: '{self.name}' given; allowed: {', '.join(ENGINES)}")
        if self.workers is not None:
            whole_number(self.workers, "--workers", 1)
        for option, value in (("--address", self.address), ("--workers", self.workers)):
            if self.name == "local" and value is not None:
                raise RequestError(f"{option}: given with --engine local; only ray uses it")
        if self.name == "ray" and importlib.util.find_spec("ray") is None:
            raise RequestError("--engine ray: ray is not installed; run: pip install 'mien[cluster]'")

    def run(
        self,
        items: Sequence[Item],
        load: Callable[[], Work[Item, Record]],
        *,
        on_progress: OnProgress | None = None,
    ) -> Iterator[Record]:
        """The record of each item, in the order of ``items``; few are held at a time.

        Args:
            load: makes the function from item to record, once a worker. With Ray it travels, so it is importable by
                name with arguments that can be pickled; an item that a lost worker held is done again elsewhere.
            on_progress: called with (items done, items in all) after each.

        Raises:
            MienError: what ``load`` or an item raised, or that the cluster cannot be reached.
        """
        made = _on_ray(self, items, load) if self.name == "ray" and items else _here(items, load)
        for number, record in enumerate(made, 1):
            yield record
            if on_progress is not None:
                on_progress(number, len(items))


LOCAL = Engine()


def _here(items: Sequence[Item], load: Callable[[], Work[Item, Record]]) -> Iterator[Record]:
    if items:
        yield from map(load(), items)


@dataclass(frozen=True, slots=True)
class _Parcel(Generic[Item]):
    """Anything on its way: Ray Data makes columns of dictionaries and numbers, and leaves this as it is."""

    content: Item
    failed: bool = False  # the content is the error of an item


class _Worker:
    """One process of the cluster; it loads with the first item, so that what fails there is told as the item's."""

    def __init__(self, load: Callable[[], Work[Any, Any]], folder: str) -> None:
        self._load = load
        with contextlib.suppress(OSError):
            os.chdir(folder)  # so that relative paths mean what they mean here
        self._work: Work[Any, Any] | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        import cv2
        import numpy as np
        import torch

        if self._work is None:
            torch.set_num_threads(1)
            cv2.setNumThreads(1)
        records = np.empty(len(batch["item"]), object)
        for place, parcel in enumerate(batch["item"]):
            try:
                self._work = self._work or self._load()
                records[place] = _Parcel(self._work(parcel.content))
            except (MienError, OSError) as error:
                records[place] = _Parcel(error, failed=True)
            except Exception as error:  # Ray would try again what fails again
                records[place] = _Parcel(MienError(f"--engine ray: {type(error).__name__}: {error}"), failed=True)
        return {"record": records}


def _on_ray(engine: Engine, items: Sequence[Item], load: Callable[[], Work[Item, Record]]) -> Iterator[Record]:
    with _cluster(engine.address):
        import ray
        from ray.exceptions import RayError

        cores = int(ray.cluster_resources().get("CPU", 1))
        workers = min(engine.workers or cores, len(items))
        rows = [{"item": _Parcel(item)} for item in items]
        done = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Worker, fn_constructor_args=(load, os.getcwd()), batch_size=1, num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
        )  # fmt: skip
        try:
            for row in done.iter_rows():
                if row["record"].failed:
                    raise row["record"].content
                yield row["record"].content
        except RayError as error:
            raise MienError(f"--engine ray: {str(error).strip().splitlines()[-1]}") from error


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Ray, connected; ended again where it was begun here. It reports to nobody and shows nothing."""
    for name, value in (("RAY_USAGE_STATS_ENABLED", "0"), ("RAY_BACKEND_LOG_LEVEL", "fatal")):
        os.environ.setdefault(name, value)
    import ray
    import ray.data

    begun = not ray.is_initialized()
    if begun:
        more = {"include_dashboard": False} if address is None else {}
        try:
            ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **more)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise MienError(f"--address: {address}: {str(error).splitlines()[0]}") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    try:
        yield
    finally:
        if begun:
            ray.shutdown()
