"""How much of the generator's speed is left over HTTP: python benchmarks/service.py [CLIENTS] [FACES A REQUEST]."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from service_live import live
from test_service_load import asked_by_many

from mien.apps.service.makers import MAKERS
from mien.apps.service.settings import ServiceSettings

TOGETHER = 64


def main() -> None:
    clients = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    each = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    crowd = next(maker for maker in MAKERS if maker.name == "crowd")
    settings = ServiceSettings(port=0, waiting=clients, together_faces=TOGETHER, header_seconds=60)
    with live(settings, [crowd]) as running:
        model = running.service.workshop.models["crowd"]
        bare = min(_seconds(model) for _ in range(3)) / TOGETHER
        for marked in (True, False):
            running.service.marks = type(running.service.marks).load(marked)
            seen, seconds = asked_by_many(running.port, clients, {"count": each}, 2, 600)
            made = seen[200] * each
            words = "with marks" if marked else "without marks"
            print(f"{clients} clients, {each} faces a request, {words}: {dict(seen)}, {made / seconds:.1f} faces/s")
            print(
                f"  the generator alone, {TOGETHER} at once: {1 / bare:.1f} faces/s; left: {bare * made / seconds:.0%}"
            )


def _seconds(model: object) -> float:
    started = time.monotonic()
    model.sample(TOGETHER, seed=1)  # type: ignore[attr-defined]
    return time.monotonic() - started


if __name__ == "__main__":
    main()
