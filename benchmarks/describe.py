"""How long a description of one face takes, with the machine's peak beside it, as JSON (see benchmarks/README.md).

    python benchmarks/describe.py [PHOTO...] [--threads 1 --threads 2] [--repeats 10] [--json FILE]

Without photos, a face that mien makes itself is put on a plain photo of 1,600 x 1,200 px: no photograph is needed. Each
figure is the median of ``--repeats`` descriptions in a fresh process per thread count, after loading, decoding and one
warm-up: find the faces (whole photo and tiles), mesh, crop, read, measure.
``cpu_seconds`` is the processor time of all threads: what a busy machine changes least.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import machine
import numpy as np

WIDTH_PX, HEIGHT_PX, FACE_PX = 1600, 1200, 512
ALONE = """
import json, statistics, sys, time, torch
torch.set_num_threads({threads})
import mien
from mien.core.photos import read_photo
start = time.perf_counter()
describer = mien.load("describe")
loaded = time.perf_counter() - start
figures = {{"load_seconds": round(loaded, 2), "model_version": describer.model_version, "photos": []}}
for path in {photos!r}:
    photo = read_photo(path)
    start = time.perf_counter()
    found = describer.describe(photo)
    first, seconds, cpu = time.perf_counter() - start, [], []
    for _ in range({repeats}):
        start, used = time.perf_counter(), time.process_time()
        describer.describe(photo)
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    start = time.perf_counter()
    describer.finder.faces([photo], thorough=True)
    figures["photos"].append({{
        "width_px": found.width_px, "height_px": found.height_px, "faces": len(found.faces),
        "finding_seconds": round(time.perf_counter() - start, 3), "first_seconds": round(first, 3),
        "seconds": round(statistics.median(seconds), 3), "slowest_seconds": round(max(seconds), 3),
        "cpu_seconds": round(statistics.median(cpu), 3),
    }})
print(json.dumps(figures))
"""


def made_photo(path: Path) -> None:
    """A photo with one face that mien made."""
    import mien
    from mien.core.images import resize, write_png

    face = mien.load("crowd").sample(1, sex="female", age=30, seed=1)[0].image
    page = np.full((HEIGHT_PX, WIDTH_PX, 3), 190, np.uint8)
    top, left = (HEIGHT_PX - FACE_PX) // 2, (WIDTH_PX - FACE_PX) // 2
    page[top : top + FACE_PX, left : left + FACE_PX] = resize(face, FACE_PX, FACE_PX)
    write_png(path, page)


def alone(photos: list[str], threads: int, repeats: int) -> dict[str, object]:
    """The figures in a new process with ``threads`` threads."""
    script = ALONE.format(threads=threads, photos=photos, repeats=repeats)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", help="photos to describe (default: one that is made here)")
    parser.add_argument(
        "--threads", type=int, action="append", help="thread count; may be repeated (default: 1 and all)"
    )
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    threads = args.threads or sorted({1, os.cpu_count() or 1})
    with tempfile.TemporaryDirectory() as room:
        photos = args.photos
        if not photos:
            photos = [str(Path(room) / "made.png")]
            made_photo(Path(photos[0]))
        figures = {
            "alone": {f"{n}_threads": alone(photos, n, args.repeats) for n in threads},
            "machine": machine.measure(threads),
        }
    text = json.dumps(figures, indent=2)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
