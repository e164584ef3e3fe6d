"""What the report counts is what the catalogue holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from photos_stub import StubFinder, draw, job, write_photos

from mien.core import images
from mien.core.errors import DatasetError
from mien.core.photos import read_photo
from mien.datasets import catalog, prepare, report
from mien.evaluation import report as reports
from mien.evaluation.dataset import dataset_report


@pytest.fixture(scope="module")
def dest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    paths = write_photos(folder / "a", 12)
    images.write_png(paths[3], draw(3, []))
    paths[4].write_bytes(b"")
    paths[6].write_bytes(paths[5].read_bytes())
    work = job(
        paths,
        sex=lambda n: "female" if n < 8 else None,
        age_years=lambda n: float(n * 5) if n != 2 else None,
        person=lambda n: f"Person_{n // 2}",
        attributes=lambda n: {"Smiling": n % 2 == 0, "Bald": False},
    )
    prepare.prepare(work, folder / "dest", load_finder=StubFinder)
    return folder / "dest"


def test_tally_of_a_source(dest: Path) -> None:
    [tally] = report.tally_sources(catalog.read_catalog(dest))
    assert (tally.photos, tally.kept) == (12, 9)
    assert tally.dropped == {"no_face": 1, "empty": 1, "duplicate": 1}
    assert tally.sexes == {"female": 5, "male": 0, "unknown": 4}
    assert tally.with_age == 8
    assert tally.people == tally.groups == 6
    assert sum(tally.splits.values()) == 9


def test_attributes_ages_and_poses(dest: Path) -> None:
    rows = catalog.read_catalog(dest)
    smiling, bald = report.tally_attributes(rows)
    assert (smiling.name, smiling.present, smiling.absent) == ("Smiling", 4, 5)
    assert (bald.name, bald.share) == ("Bald", 0.0)
    ages = report.ages_by_sex(rows)
    assert ages["female"].tolist() == [0, 5, 25, 35]
    assert ages["unknown"].tolist() == [40, 45, 50, 55]
    assert "male" not in ages
    assert report.poses(rows)["pitch"].tolist() == [2.0] * 9


def test_sample_is_of_kept_faces_and_always_the_same(dest: Path) -> None:
    rows = catalog.read_catalog(dest)
    first = report.sample(rows, "drawn", 5)
    assert first == report.sample(rows, "drawn", 5) == sorted(set(first))
    assert all(rows[place].drop_reason is None for place in first)
    assert len(report.sample(rows, "drawn", 500)) == 9


def test_report_is_written_with_its_pictures(dest: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    page = reports.write(dataset_report(dest), tmp_path)
    html = page.read_text()
    for words in (
        "9 of 12 photos kept",
        "the detector found no face",
        "the file has 0 bytes",
        "age-by-sex.png",
        "test",
    ):
        assert words in html
    values = json.loads((tmp_path / "report.json").read_text())
    kept = next(figure for figure in values["figures"] if figure["name"] == "kept")
    assert (kept["value"], kept["n"]) == (0.75, 12)
    assert {p.name for p in tmp_path.glob("*.png")} == {"age-by-sex.png", "attributes.png", "pose.png", "sample-0.png"}
    assert np.ptp(read_photo(tmp_path / "sample-0.png")) > 100


def test_a_dataset_of_nothing_but_drops_is_reported_on(tmp_path: Path) -> None:
    images.write_png(tmp_path / "nobody.png", draw(0, []))
    prepare.prepare(job([tmp_path / "nobody.png"]), tmp_path / "dest", load_finder=StubFinder)
    found = dataset_report(tmp_path / "dest")
    assert found.summary.startswith("0 of 1 photos kept")
    with pytest.raises(DatasetError, match="no prepared dataset"):
        dataset_report(tmp_path / "nowhere")
