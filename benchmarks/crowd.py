"""How fast the crowd is made, with the machine's peak beside it, as JSON (see benchmarks/README.md).

    python benchmarks/crowd.py [--count 1000] [--threads 1 --threads 2] [--json FILE]

Every figure comes from a process of its own, so that nothing is warm which would be cold for a user.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine

COLD_STARTS = 3
ALONE = """
import json, time, torch
torch.set_num_threads({threads})
import mien
start = time.perf_counter()
crowd = mien.load("crowd", preset={preset!r})
loaded = time.perf_counter()
face = crowd.sample(count=32, seed=1)[0]
start_timed = time.perf_counter()
crowd.sample(count={count}, seed=2)
seconds = time.perf_counter() - start_timed
print(json.dumps({{"faces_per_second": round({count} / seconds, 1), "load_seconds": round(loaded - start, 2),
                  "size_px": face.image.shape[0], "model": face.model, "model_version": face.model_version}}))
"""


def crowd_seconds(count: int, preset: str) -> float:
    """Wall clock of ``mien crowd`` in a new process, from start to exit, all files written."""
    with tempfile.TemporaryDirectory() as room:
        out = Path(room) / "out"
        words = ["crowd", "--count", str(count), "--seed", "1", "--out", str(out)]
        words += [] if preset == "mien" else ["--preset", preset]
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "mien", *words], check=True, capture_output=True)
        seconds = time.perf_counter() - start
        made = len(list(out.glob("0*.png")))
        if made != count:
            raise SystemExit(f"asked for {count} faces, {made} were written")
    return seconds


def alone(count: int, threads: int, preset: str) -> dict[str, object]:
    """Faces a second without files, in a new process with ``threads`` threads."""
    script = ALONE.format(threads=threads, count=count, preset=preset)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="faces for the PNG figure")
    parser.add_argument("--alone-count", type=int, default=512, help="faces for the figure of the generator alone")
    parser.add_argument("--preset", choices=["mien", "paper"], default="mien")
    parser.add_argument(
        "--threads", type=int, action="append", help="thread count; may be repeated (default: 1 and all)"
    )
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    threads = args.threads or sorted({1, os.cpu_count() or 1})

    cold = [crowd_seconds(1, args.preset) for _ in range(COLD_STARTS)]
    figures = {
        "preset": args.preset,
        "first_face_seconds": round(statistics.median(cold), 2),
        "first_face_seconds_each": [round(seconds, 2) for seconds in cold],
        f"png_{args.count}_seconds": round(crowd_seconds(args.count, args.preset), 2),
        "alone": {f"{n}_threads": alone(args.alone_count, n, args.preset) for n in threads},
        "machine": machine.measure(threads),
    }
    text = json.dumps(figures, indent=2)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
