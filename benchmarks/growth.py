"""How time and memory grow with the number of faces or photos: `python benchmarks/growth.py --out growth.json`.

Each point is a command line in a process of its own, start included, one thread, under a memory limit of 8 GB: seconds
of the processor (other work on the machine does not count), seconds of the clock, and the most memory it held.
Photos are faces that mien made (128 px), so nothing of anybody is needed. `--plot growth.png` draws what was measured.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LIMIT_BYTES = 8 * 10**9
COMMANDS = ("crowd", "painter", "imagine", "describe", "portrait", "prepare")


def words_of(name: str, count: int, photos: Path, out: Path) -> list[str]:
    """The command line of one point."""
    made = [str(photos / f"{number:05d}.png") for number in range(count)]
    if name in ("crowd", "painter"):
        preset = "mien" if name == "crowd" else "painter"
        return ["crowd", "--count", str(count), "--seed", "1", "--preset", preset, "--shards", "tar", "--out", str(out)]
    if name == "imagine":
        decoder = ("--set", "renderer=decoder", "--seed", "1", "--out", str(out))
        return ["imagine", "a smiling woman", "--count", str(count), *decoder]
    if name == "prepare":
        return ["data", "prepare", "folder", str(photos), str(out), "--jobs", "1", "--limit", str(count)]
    return [name, *made, "--out", str(out)]


def measured(words: Sequence[str], limit_bytes: int | None = LIMIT_BYTES) -> dict[str, Any]:
    """Run ``mien`` with these words; what it cost."""

    def limited() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))

    began = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen(
        [sys.executable, "-m", "mien", *words], preexec_fn=limited, env=environment, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(run.pid, 0)
    run.returncode = os.waitstatus_to_exitcode(status)
    return {
        "exit_status": run.returncode,
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "wall_seconds": round(time.monotonic() - began, 2),
        "peak_mib": round(used.ru_maxrss / 1024),
    }


def plotted(points: Sequence[dict[str, Any]], path: Path) -> None:
    """Seconds of the processor and the most memory against the number, a line a command; beside linear growth."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    seconds, memory = figure.subplots(1, 2)
    for name in COMMANDS:
        own = sorted((one["count"], one) for one in points if one["command"] == name and not one["exit_status"])
        counts = [count for count, _ in own]
        seconds.plot(counts, [point["cpu_seconds"] for _, point in own], "o-", label=name)
        memory.plot(counts, [point["peak_mib"] for _, point in own], "o-", label=name)
    ends = [min(point["count"] for point in points), max(point["count"] for point in points)]
    seconds.plot(ends, [0.03 * end for end in ends], "--", color="grey", label="linear")
    seconds.set(xscale="log", yscale="log", xlabel="faces or photos", ylabel="seconds of one core, start included")
    memory.set(xscale="log", xlabel="faces or photos", ylabel="most memory, MiB", ylim=(0, None))
    seconds.legend(fontsize="small", loc="upper left")
    figure.savefig(path, dpi=100)


def main() -> None:
    """Measure, and write after each point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--plot", type=Path, help="draw --out there, and measure nothing")
    given = parser.parse_args()
    points = json.loads(given.out.read_text()) if given.out.exists() else []
    if given.plot is not None:
        plotted(points, given.plot)
        return
    with tempfile.TemporaryDirectory() as scratch:
        photos = Path(scratch) / "photos"
        made = ["crowd", "--count", str(max(given.counts)), "--seed", "2", "--preset", "mien", "--size", "128"]
        measured([*made, "--unmarked", "--out", str(photos)])
        for count in sorted(given.counts):
            for name in given.commands:
                out = Path(scratch) / f"{name}-{count}"
                point = {"command": name, "count": count, **measured(words_of(name, count, photos, out))}
                points.append(point)
                given.out.write_text(json.dumps(points, indent=1) + "\n")
                print(point, flush=True)


if __name__ == "__main__":
    main()
