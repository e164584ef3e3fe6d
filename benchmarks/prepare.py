"""`mien data prepare` at size: mock sets in the formats of CelebA, IMDB-WIKI and VGGFace2, prepared, killed, resumed.

    python benchmarks/prepare.py --format celeba --rows 10000 --rows 20000 [--networks] [--killed] [--json FILE]

The photos are faces made by mien, a few hundred of them with changes of light, mirrored and shifted; nobody is on them.
Without --networks a stub finds the face where it was put: what is measured is everything else, label files, decoding,
crops, shards, near-equal pictures and splits. The networks cost the same for each photo: measure them with few rows.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

FACES, VARIANTS = 300, 2000  # made by mien; different pictures made of them
WIDTH, HEIGHT = 178, 218  # of CelebA's aligned photos
CROP_PX = 64
CHANGES = 5.0  # levels of noise, so that two variants of a face are two pictures, not one
LINE_YEARS = 2005


def variants(count: int = VARIANTS, seed: int = 0) -> list[bytes]:
    """``count`` JPEGs of ``FACES`` faces, or of a quarter as many where those are fewer."""
    import mien

    people = min(FACES, max(count // 4, 1))
    faces = [face.image for face in mien.load("crowd", preset="mien").sample(people, seed=seed)]
    draws, found = np.random.default_rng(seed), []
    for number in range(count):
        photo = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
        face = cv2.resize(faces[number % people], (WIDTH, WIDTH))
        face = face[:, ::-1] if number // people % 2 else face
        warp = np.float32([[1, draws.normal(0, 0.06), 0], [draws.normal(0, 0.06), 1, 0]])
        bent = cv2.warpAffine(np.ascontiguousarray(face), warp, (WIDTH, WIDTH), borderMode=cv2.BORDER_REFLECT_101)
        light = draws.normal(0, CHANGES, (6, 6, 3)).astype(np.float32)
        light = cv2.resize(light, (WIDTH, WIDTH), interpolation=cv2.INTER_CUBIC) * 4
        photo[20 : 20 + WIDTH] = np.clip(bent * draws.uniform(0.7, 1.1) + light, 0, 255)
        found.append(cv2.imencode(".jpg", photo[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())
    return found


def numbered(jpeg: bytes, number: int) -> bytes:
    """The same picture in a file of its own: a comment after the first marker holds the number."""
    text = b"%010d" % number
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


def write_photos(folder: Path, names: Sequence[str], jpegs: Sequence[bytes]) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(numbered(jpegs[number % len(jpegs)], number))


def celeba(folder: Path, rows: int, jpegs: Sequence[bytes]) -> None:
    """``img_align_celeba`` with attributes, identities (20 photos each) and official splits."""
    names = [f"{number + 1:06d}.jpg" for number in range(rows)]
    write_photos(folder / "img_align_celeba", names, jpegs)
    draws = np.random.default_rng(1)
    marks = draws.choice(["-1", "1"], (rows, 4))
    lines = [f"{name} " + " ".join(row) for name, row in zip(names, marks, strict=True)]
    (folder / "list_attr_celeba.txt").write_text(f"{rows}\nMale Smiling Eyeglasses Bald\n" + "\n".join(lines) + "\n")
    (folder / "identity_CelebA.txt").write_text("".join(f"{name} {k // 20 + 1}\n" for k, name in enumerate(names)))
    split = [0 if k < 0.8 * rows else 1 if k < 0.9 * rows else 2 for k in range(rows)]
    (folder / "list_eval_partition.txt").write_text("".join(f"{n} {s}\n" for n, s in zip(names, split, strict=True)))


def imdb_wiki(folder: Path, rows: int, jpegs: Sequence[bytes]) -> None:
    """``wiki_crop/wiki.mat`` as the published one is laid out."""
    from scipy.io import savemat

    names = [f"{number % 100:02d}/{number}_1960-05-05_2005.jpg" for number in range(rows)]
    write_photos(folder / "wiki_crop", names, jpegs)
    draws = np.random.default_rng(2)

    def cells(values: Sequence[object]) -> Any:
        made = np.empty((1, rows), object)
        made[0] = [np.array([value]) if isinstance(value, str) else value for value in values]
        return made

    born = draws.integers(LINE_YEARS - 80, LINE_YEARS - 12, rows) * 365.25 + 366
    wiki = {
        "dob": born[None].astype(np.int32), "photo_taken": np.full((1, rows), LINE_YEARS, np.uint16),
        "full_path": cells(names), "gender": draws.integers(0, 2, (1, rows)).astype(float),
        "name": cells([f"Person {number // 8}" for number in range(rows)]),
        "face_location": cells([np.array([[1.0, 21.0, 178.0, 198.0]])] * rows),
        "face_score": np.full((1, rows), 3.0), "second_face_score": np.full((1, rows), np.nan),
    }  # fmt: skip
    savemat(folder / "wiki_crop" / "wiki.mat", {"wiki": wiki})


def vggface2(folder: Path, rows: int, jpegs: Sequence[bytes]) -> None:
    """``train/n000002/0001_01.jpg`` with boxes; 100 photos a person."""
    names = [f"n{number // 100 + 2:06d}/{number % 100 + 1:04d}_01" for number in range(rows)]
    write_photos(folder / "train", [f"{name}.jpg" for name in names], jpegs)
    lines = [f'"{name}",1,21,177,177' for name in names]
    (folder / "loose_bb_train.csv").write_text("NAME_ID,X,Y,W,H\n" + "\n".join(lines) + "\n")
    people = sorted({name[:7] for name in names})
    heads = "Class_ID, Name, Sample_Num, Flag, Gender\n"
    (folder / "identity_meta.csv").write_text(
        heads + "".join(f'{one}, "Person_{one}", 100, 1, {"mf"[k % 2]}\n' for k, one in enumerate(people))
    )


FORMATS: dict[str, Callable[[Path, int, Sequence[bytes]], None]] = {
    "celeba": celeba, "imdb_wiki": imdb_wiki, "vggface2": vggface2,
}  # fmt: skip


class Placed:
    """Finds the face where ``variants`` put it, and reads nothing."""

    def detect(self, photos: Sequence[Any]) -> list[list[Any]]:
        from mien.core.records import Box, Detection

        return [[Detection(Box(40, 60, 138, 158), np.zeros((6, 2), np.float32), 0.9)] for _ in photos]

    def locate(self, photos: Sequence[Any], chosen: Sequence[Any]) -> list[Any]:
        from mien.core.records import Face

        mesh = np.zeros((468, 3), np.float32)
        for point, x, y in ((33, 57, 94.8), (263, 121, 94.8), (61, 71, 141), (291, 107, 141)):
            mesh[point, :2] = x, y
        return [Face(one, mesh, 0.99) for one in chosen]

    def pose(self, face: Any) -> Any:
        from mien.core.records import Pose

        return Pose(0.0, 0.0, 0.0)


def peak_mib() -> int:
    """The most memory that this program held. (``ru_maxrss`` would begin with what its parent held.)"""
    told = Path("/proc/self/status").read_text()
    return int(told.partition("VmHWM:")[2].split()[0]) // 1024


def work(kind: str, source: Path, dest: Path, networks: bool) -> None:
    """Prepare in this process, and print what it cost."""
    from mien.datasets import chunks, sources
    from mien.datasets.filters import rules_of
    from mien.datasets.prepare import SourceJob, prepare

    began, used = time.perf_counter(), time.process_time()
    found = sources.find(kind)
    photos = tuple(found.rows(source, None))
    listed = time.process_time() - used
    job = SourceJob(kind, kind, found.licence, rules_of(found), photos, found.false_is_absent, CROP_PX)
    done = prepare(job, dest, load_finder=chunks.Networks if networks else Placed)
    told = {
        "photos": done.photos, "kept": done.kept, "dropped": done.dropped, "resumed": done.resumed,
        "seconds": round(time.perf_counter() - began, 1), "processor_seconds": round(time.process_time() - used, 1),
        "listing_processor_seconds": round(listed, 1),
        "peak_mib": peak_mib(),
        "steps": {name: round(seconds, 1) for name, seconds in done.steps.items()},
    }  # fmt: skip
    print(json.dumps(told))


def prepared(words: Sequence[str], stop_at: int = 0, dest: Path | None = None) -> dict[str, Any]:
    """``work`` in a process of its own; ``stop_at``: kill it when so many pieces lie there."""
    process = subprocess.Popen([sys.executable, __file__, "--work", *words], stdout=subprocess.PIPE, text=True)
    while stop_at and process.poll() is None:
        assert dest is not None
        if sum(1 for _ in dest.glob(".work/*/*.parquet")) >= stop_at:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.05)
    out, _ = process.communicate()
    if process.returncode == -signal.SIGKILL:
        return {"killed": True}
    if process.returncode:
        raise SystemExit(f"{' '.join(words)}: the run ended with status {process.returncode}")
    return dict(json.loads(out))


def measured(kind: str, rows: int, jpegs: Sequence[bytes], networks: bool, killed: bool) -> Iterator[dict[str, Any]]:
    """The figures of one set: prepared in one go, asked for again, and killed half way and resumed."""
    with tempfile.TemporaryDirectory() as room:
        source, dest, other = Path(room) / "source", Path(room) / "dest", Path(room) / "other"
        source.mkdir()
        FORMATS[kind](source, rows, jpegs)
        flag = ["--networks"] if networks else []
        about = {"format": kind, "rows": rows, "networks": networks}
        yield {**about, "run": "whole", **prepared([kind, str(source), str(dest), *flag])}
        yield {**about, "run": "again", **prepared([kind, str(source), str(dest), *flag])}
        if killed:
            prepared([kind, str(source), str(other), *flag], stop_at=rows // 128 // 2, dest=other)
            yield {**about, "run": "resumed", **prepared([kind, str(source), str(other), *flag])}
            same = (dest / "catalog.parquet").read_bytes() == (other / "catalog.parquet").read_bytes()
            yield {**about, "run": "resumed", "catalogue_is_the_same": same}


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        kind, source, dest, *flags = sys.argv[2:]
        work(kind, Path(source), Path(dest), "--networks" in flags)
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", choices=list(FORMATS), action="append", help="may be repeated (default: all)")
    parser.add_argument("--rows", type=int, action="append", help="may be repeated (default: 10,000 and 20,000)")
    parser.add_argument("--networks", action="store_true", help="find faces with the detector and the mesh")
    parser.add_argument("--killed", action="store_true", help="also kill a run half way, and go on with it")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    sizes = args.rows or [10_000, 20_000]
    jpegs, found = variants(min(VARIANTS, max(sizes))), []
    for kind in args.format or list(FORMATS):
        for rows in sizes:
            for one in measured(kind, rows, jpegs, args.networks, args.killed):
                print(json.dumps(one), flush=True)
                found.append(one)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"load": os.getloadavg()[0], "figures": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
