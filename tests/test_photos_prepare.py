"""A source becomes a dataset: every photo is a row, no photo ends a run, and only the input decides the bytes."""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from photos_stub import BrokenFinder, ChokingFinder, SlowFinder, StubFinder, draw, job, write_photos

from mien.core import images
from mien.core.errors import DatasetError, MienError
from mien.core.records import Box
from mien.datasets import catalog, prepare
from mien.datasets.batches import FaceDataset
from mien.datasets.catalog import CatalogRow
from mien.datasets.filters import Rules
from mien.datasets.layout import CATALOG


def contents(dest: Path) -> dict[str, bytes]:
    return {str(p.relative_to(dest)): p.read_bytes() for p in sorted(dest.rglob("*")) if p.is_file()}


def rows_of(dest: Path) -> dict[str, CatalogRow]:
    return {row.key: row for row in catalog.read_catalog(dest)}


def png_of(image: PIL.Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def jpeg_of(image: PIL.Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=100, subsampling=0, **options)
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG of a few bytes that says it has 30,000 x 30,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(90_001)))
        + chunk(b"IEND", b"")
    )


def drawn(seed: int = 1) -> PIL.Image.Image:
    return PIL.Image.fromarray(draw(seed))


def sixteen_bit() -> bytes:
    return png_of(PIL.Image.fromarray(np.full((96, 96), 40_000, np.uint16)))


def turned() -> bytes:
    """The photo lies on its side in the file, and EXIF says how to turn it upright."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    return jpeg_of(drawn().transpose(PIL.Image.Transpose.ROTATE_90), exif=exif)


def animated() -> bytes:
    buffer = io.BytesIO()
    drawn().save(buffer, "WEBP", save_all=True, append_images=[drawn(2)], lossless=True)
    return buffer.getvalue()


def heic() -> bytes:
    pytest.importorskip("pillow_heif").register_heif_opener()
    buffer = io.BytesIO()
    drawn().save(buffer, "HEIF", quality=90)
    return buffer.getvalue()


FILES: list[tuple[str, Callable[[], bytes], str | None]] = [
    ("truncated.jpg", lambda: jpeg_of(drawn())[:700], "truncated"),
    ("empty.jpg", lambda: b"", "empty"),
    ("text.jpg", lambda: b"I am a text\n" * 40, "not_an_image"),
    ("bomb.png", bomb, "too_large"),
    ("cmyk.jpg", lambda: jpeg_of(drawn().convert("CMYK")), None),
    ("palette.png", lambda: png_of(drawn().quantize(200)), None),
    ("alpha.png", lambda: png_of(drawn().convert("RGBA")), None),
    ("turned.jpg", turned, None),
    ("grey16.png", sixteen_bit, "no_face"),  # it is read; a stub that looks for red finds nothing in it
    ("nobody.png", lambda: png_of(PIL.Image.fromarray(draw(0, []))), "no_face"),
    ("animated.gif", animated, None),
    ("phone.jpg", lambda: jpeg_of(drawn()) + b"\0\0\0\x18ftypmp42" + bytes(99), None),
    ("phone.heic", heic, None),
    ("two.png", lambda: png_of(PIL.Image.fromarray(draw(3, [(4, 4, 30, 30), (40, 40, 90, 90)]))), None),
]


def test_bad_input_is_a_row_with_its_reason_and_never_fatal(tmp_path: Path) -> None:
    for name, make, _ in FILES:
        (tmp_path / name).write_bytes(make())
    paths = [tmp_path / name for name, _, _ in FILES] + [tmp_path / "gone.jpg"]
    summary = prepare.prepare(job(paths), tmp_path / "dest", load_finder=StubFinder)
    found = rows_of(tmp_path / "dest")
    expected = {name: reason for name, _, reason in FILES} | {"gone.jpg": "missing"}
    assert {key: row.drop_reason for key, row in found.items()} == expected
    assert summary.kept == sum(reason is None for reason in expected.values())
    assert found["two.png"].n_faces == 2
    assert found["nobody.png"].n_faces == 0
    upright, turned_row = found["alpha.png"], found["turned.jpg"]
    assert upright.transform == pytest.approx(turned_row.transform, abs=0.6)  # the face was found upright


def test_source_rules_hold(tmp_path: Path) -> None:
    grey = np.repeat(images.grey(draw(1))[..., None], 3, 2)
    images.write_png(tmp_path / "grey.png", grey)
    images.write_png(tmp_path / "small.png", draw(2)[20:76, 20:76])
    images.write_png(tmp_path / "fine.png", draw(3))
    two = draw(4, [(2, 2, 60, 60), (50, 64, 80, 94)])
    images.write_png(tmp_path / "two.png", two)
    paths = [tmp_path / name for name in ("fine.png", "grey.png", "small.png", "two.png")]
    rules = Rules(min_width_px=64, min_height_px=57, colour=True, choose="only")
    prepare.prepare(job(paths, rules=rules), tmp_path / "dest", load_finder=StubFinder)
    found = {key: row.drop_reason for key, row in rows_of(tmp_path / "dest").items()}
    assert found == {"fine.png": None, "grey.png": "grey", "small.png": "too_small", "two.png": "several_faces"}


def test_the_sources_rectangle_chooses_the_face(tmp_path: Path) -> None:
    images.write_png(tmp_path / "two.png", draw(4, [(2, 2, 60, 60), (64, 64, 90, 90)]))
    whole = job([tmp_path / "two.png"])
    photo = whole.photos[0]
    boxes = {"big": Box(0, 0, 58, 58), "small": Box(60, 60, 96, 96), "none": Box(70, 2, 96, 20)}
    photos = tuple(replace(photo, key=f"two.png#{name}", box=box) for name, box in boxes.items())
    prepare.prepare(replace(whole, photos=photos), tmp_path / "dest", load_finder=StubFinder)
    found = rows_of(tmp_path / "dest")
    assert found["two.png#none"].drop_reason == "no_face_in_box"
    assert found["two.png#big"].eye_distance_px == pytest.approx(0.6 * 58, abs=1)
    assert found["two.png#small"].eye_distance_px == pytest.approx(0.6 * 26, abs=1)
    assert found["two.png#big"].drop_reason is None  # one file, two faces: not a duplicate


def test_rows_say_what_was_measured(tmp_path: Path) -> None:
    [path] = write_photos(tmp_path, 1)
    labels = {"sex": "female", "age_years": 33.0, "person": "Ann", "attributes": {"Smiling": True, "Bald": False}}
    prepare.prepare(job([path], **labels), tmp_path / "dest", load_finder=StubFinder)
    row = rows_of(tmp_path / "dest")["0000.png"]
    assert (row.id, row.sex, row.age_years, row.person) == ("drawn:0000.png", "female", 33.0, "Ann")
    assert (row.attributes_present, row.attributes_absent) == (("Smiling",), ("Bald",))
    assert (row.photo_width, row.photo_height, row.n_faces) == (96, 96, 1)
    assert (row.yaw_degrees, row.pitch_degrees, row.roll_degrees) == (1, 2, 3)
    a, b, c, d, e, f = row.transform or ()
    eyes = np.array([[33.6, 40.8], [62.4, 40.8]]) @ np.array([[a, d], [b, e]]) + [c, f]
    assert eyes.mean(0) == pytest.approx([0.5 * 64 - 0.5, 0.42 * 64 - 0.5], abs=0.05)  # the crop convention
    [jpeg] = catalog.read_shard(tmp_path / "dest", "drawn-00000.parquet")
    assert images.decode_crop(jpeg).shape == (64, 64, 3)


def test_the_number_of_processes_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "CHUNK_PHOTOS", 4)
    work = job(write_photos(tmp_path / "photos", 11), person=lambda n: f"p{n // 2}")
    for jobs in (1, 2):
        prepare.prepare(work, tmp_path / f"dest{jobs}", load_finder=StubFinder, jobs=jobs)
    assert contents(tmp_path / "dest1") == contents(tmp_path / "dest2")


def test_sources_add_up_and_their_order_decides_nothing(tmp_path: Path) -> None:
    first = job(write_photos(tmp_path / "a", 9), source="aa", person=lambda n: f"p{n}")
    second = job(write_photos(tmp_path / "b", 8, first_seed=5), source="bb")  # four photos of aa again
    for name, order in (("ab", (first, second)), ("ba", (second, first))):
        for work in order:
            prepare.prepare(work, tmp_path / name, load_finder=StubFinder)
    assert contents(tmp_path / "ab") == contents(tmp_path / "ba")
    rows = catalog.read_catalog(tmp_path / "ab")
    assert len(rows) == 17
    by_file: dict[str | None, set[str | None]] = {}
    for row in rows:
        by_file.setdefault(row.sha256, set()).add(row.split)
    assert len(by_file) == 13
    assert all(len(found) == 1 for found in by_file.values())  # one file, one split, whatever the source


def test_exact_duplicates_within_a_source_are_dropped(tmp_path: Path) -> None:
    paths = write_photos(tmp_path, 3)
    copy = tmp_path / "zcopy.png"
    copy.write_bytes(paths[1].read_bytes())
    summary = prepare.prepare(job([*paths, copy]), tmp_path / "dest", load_finder=StubFinder)
    assert summary.dropped == {"duplicate": 1}
    found = rows_of(tmp_path / "dest")
    assert found["zcopy.png"].drop_reason == "duplicate"
    assert found["zcopy.png"].shard is None
    assert len(catalog.read_shard(tmp_path / "dest", "drawn-00000.parquet")) == 3


def test_prepared_again_is_left_alone_and_changed_is_replaced(tmp_path: Path) -> None:
    paths = write_photos(tmp_path / "photos", 6)
    dest = tmp_path / "dest"
    prepare.prepare(job(paths), dest, load_finder=StubFinder)
    before = contents(dest)
    again = prepare.prepare(job(paths), dest, load_finder=lambda: pytest.fail("nothing is left to find"))
    assert (again.resumed, contents(dest)) == (6, before)
    images.write_png(paths[2], draw(2, []))
    changed = prepare.prepare(job(paths), dest, load_finder=StubFinder)
    assert (changed.kept, changed.dropped, changed.resumed) == (5, {"no_face": 1}, 0)
    assert len(catalog.read_catalog(dest)) == 6
    assert list((dest / prepare.WORK).iterdir()) == []


def test_another_crop_size_needs_another_dest(tmp_path: Path) -> None:
    work = job(write_photos(tmp_path / "photos", 1))
    prepare.prepare(work, tmp_path / "dest", load_finder=StubFinder)
    with pytest.raises(DatasetError, match="holds crops of 64 px; --size 128 needs another DEST"):
        prepare.prepare(replace(work, size_px=128), tmp_path / "dest", load_finder=StubFinder)


def test_no_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no photos"):
        prepare.prepare(job([]), tmp_path / "dest", load_finder=StubFinder)


def test_a_photo_that_the_networks_choke_on_is_one_row(tmp_path: Path) -> None:
    paths = write_photos(tmp_path, 5)
    odd = draw(77)
    odd[0, 0] = 255
    images.write_png(paths[3], odd)
    prepare.prepare(job(paths), tmp_path / "dest", load_finder=ChokingFinder)
    found = {key: row.drop_reason for key, row in rows_of(tmp_path / "dest").items()}
    assert found == {f"{n:04d}.png": "failed" if n == 3 else None for n in range(5)}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_fault_that_most_photos_share_ends_the_run(tmp_path: Path, jobs: int) -> None:
    work = job(write_photos(tmp_path / "photos", 9))
    with pytest.raises(MienError, match="9 of 9 photos failed, the first with AttributeError: no such function"):
        prepare.prepare(work, tmp_path / "dest", load_finder=BrokenFinder, jobs=jobs)
    assert not (tmp_path / "dest" / CATALOG).exists()


SLOW_RUN = """
import sys
from pathlib import Path
from mien.datasets import prepare
from photos_stub import SlowFinder, job
prepare.CHUNK_PHOTOS = 4
if __name__ == "__main__":
    photos = sorted(Path(sys.argv[1]).glob("*.png"))
    prepare.prepare(job(photos), Path(sys.argv[2]), load_finder=SlowFinder, jobs=2)
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads /proc")
def test_a_killed_run_goes_on_where_it_was_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "CHUNK_PHOTOS", 4)
    paths = write_photos(tmp_path / "photos", 120)
    script = tmp_path / "slow_run.py"
    script.write_text(SLOW_RUN)
    dest = tmp_path / "dest"
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    running = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "photos"), str(dest)], env={**os.environ, "PYTHONPATH": path}
    )
    pieces: list[Path] = []
    limit = time.monotonic() + 60
    while len(pieces) < 3 and time.monotonic() < limit:
        time.sleep(0.02)
        pieces = list((dest / prepare.WORK).glob("*/??????.parquet"))
    children = [int(pid) for task in Path(f"/proc/{running.pid}/task").iterdir()
                for pid in (task / "children").read_text().split()]  # fmt: skip
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert len(children) >= 2
    while any(alive(pid) for pid in children) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in children)  # workers end with their parent
    done = {piece: piece.stat().st_mtime_ns for piece in (dest / prepare.WORK).glob("*/??????.parquet")}
    assert 3 <= len(done) < 30
    with pytest.raises(DatasetError):
        FaceDataset.open(dest)
    summary = prepare.prepare(job(paths), dest, load_finder=StubFinder)
    assert summary.resumed == 4 * len(done)
    prepare.prepare(job(paths), tmp_path / "whole", load_finder=StubFinder)
    assert contents(dest) == contents(tmp_path / "whole")


def test_a_run_killed_while_it_finished_is_ended_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = job(write_photos(tmp_path / "a", 5), source="aa"), job(write_photos(tmp_path / "b", 5), source="bb")
    dest = tmp_path / "dest"
    prepare.prepare(first, dest, load_finder=StubFinder)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(catalog, "write_catalog", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare.prepare(second, dest, load_finder=StubFinder)
    with pytest.raises(DatasetError, match="stopped half way"):
        FaceDataset.open(dest)
    summary = prepare.prepare(second, dest, load_finder=lambda: pytest.fail("all photos were done"))
    assert summary.resumed == 5
    assert len(FaceDataset.open(dest)) == 10


def test_two_runs_in_one_dest_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    work = job(write_photos(tmp_path / "photos", 1))

    def second_run() -> StubFinder:
        with pytest.raises(DatasetError, match="another 'mien data prepare' is at work there"):
            prepare.prepare(work, tmp_path / "dest", load_finder=StubFinder)
        return StubFinder()

    prepare.prepare(work, tmp_path / "dest", load_finder=second_run)


def test_slow_finder_is_only_slow() -> None:
    assert len(SlowFinder().detect([draw(1)])[0]) == 1
