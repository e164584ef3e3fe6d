"""`benchmarks/prepare.py`: what it writes is read as the formats that it names, and prepared without a loss."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from mien.datasets import sources

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "prepare.py"


@pytest.fixture(name="bench", scope="module")
def _bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_prepare", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def jpegs(bench: ModuleType, count: int) -> list[bytes]:
    """Pictures of no face, sharp and different."""
    draws = np.random.default_rng(0)
    coarse = [draws.integers(0, 255, (14, 11, 3), np.uint8) for _ in range(count)]
    size = (bench.WIDTH, bench.HEIGHT)
    return [cv2.imencode(".jpg", cv2.resize(one, size, interpolation=cv2.INTER_NEAREST))[1].tobytes() for one in coarse]


@pytest.mark.parametrize("kind", ["celeba", "imdb_wiki", "vggface2"])
def test_a_mock_set_is_read_and_prepared(
    bench: ModuleType, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    bench.FORMATS[kind](source, 24, jpegs(bench, 24))
    photos = list(sources.find(kind).rows(source, None))
    assert len(photos) == 24
    assert all(Path(photo.path).is_file() for photo in photos)
    assert {photo.labels.person for photo in photos} != {None}
    assert {photo.labels.sex for photo in photos} <= {"female", "male"}
    if kind == "imdb_wiki":
        assert all(12 <= (photo.labels.age_years or 0) <= 80 for photo in photos)
    bench.work(kind, source, tmp_path / "dest", networks=False)
    told = json.loads(capsys.readouterr().out)
    assert (told["photos"], told["kept"]) == (24, 24), told["dropped"]
    assert told["peak_mib"] > 0
