"""How much of the generator's speed is left over HTTP: python benchmarks/service.py [CLIENTS] [FACES A TIME] [ROUNDS].

The generator alone and the service take turns, so that whatever else the machine does disturbs both alike. The clients
are a process of their own. Two figures for each: faces a second, which only an idle machine can tell, and processor
time a face of the serving process, which a busy one tells too. Medians over the rounds.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))

TOGETHER = 64  # faces that the model makes in one go, here and there
TIMES = 2  # that a client asks in one round
SECONDS = 900  # that a round may last
CLIENT = (
    f"import json, sys; sys.path.insert(0, {str(TESTS)!r}); from test_service_load import asked_by_many; "
    "port, clients, each, times = map(int, sys.argv[1:]); "
    f"seen, seconds = asked_by_many(port, clients, {{'count': each}}, times, {SECONDS}); "
    "print(json.dumps([dict(seen), seconds]))"
)


def main() -> None:
    from service_live import live

    from mien.apps.web.models import MODEL_SPECS
    from mien.apps.web.settings import ServiceSettings

    clients, each, rounds = (int(given or default) for given, default in zip(
        [*sys.argv[1:], None, None, None], (200, 4, 3), strict=False
    ))  # fmt: skip
    crowd = next(spec for spec in MODEL_SPECS if spec.name == "crowd")
    settings = ServiceSettings(port=0, waiting=max(64, clients), together_faces=TOGETHER, header_seconds=60)
    with live(settings, [crowd]) as running:
        model = running.service.worker.models["crowd"]
        marks = {"with marks": running.service.marks, "without marks": type(running.service.marks).load(False)}

        def alone() -> float:
            started = time.monotonic()
            for _ in range(2):
                model.sample(TOGETHER, seed=1)
            return 2 * TOGETHER / (time.monotonic() - started)

        def asked(clients: int = clients, times: int = TIMES) -> float:
            words = [sys.executable, "-c", CLIENT, *map(str, (running.port, clients, each, times))]
            seen, seconds = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
            assert seen == {"200": clients * times}, seen
            return float(clients * times * each / seconds)

        alone()
        asked(clients=4, times=1)  # what the first request imports is no part of the others
        for words, chosen in marks.items():
            running.service.marks = chosen
            pairs = [(timed(alone, 2 * TOGETHER), timed(asked, clients * TIMES * each)) for _ in range(rounds)]
            report(f"{clients} clients, {each} faces a request, {words}", pairs)


def timed(work: Callable[[], float], faces: int) -> tuple[float, float]:
    """(faces a second, milliseconds of this process's processor time a face)."""
    before = processor_seconds()
    speed = work()
    return speed, (processor_seconds() - before) / faces * 1e3


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def report(title: str, pairs: list[Any]) -> None:
    (bare, bare_ms), (served, served_ms) = (
        tuple(statistics.median(column) for column in zip(*side, strict=True)) for side in zip(*pairs, strict=True)
    )
    walls = statistics.median(after[0] / before[0] for before, after in pairs)
    works = statistics.median(before[1] / after[1] for before, after in pairs)
    print(title)
    print(f"  faces a second: {served:.1f} of {bare:.1f} of the generator alone: {walls:.1%}")
    print(
        f"  processor time a face: {bare_ms:.2f} ms of {served_ms:.2f} ms are the generator's: {works:.1%}", flush=True
    )


if __name__ == "__main__":
    main()
