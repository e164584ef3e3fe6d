"""Reports: what is measured arrives in the JSON, the page shows it, nothing half-written, nothing overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mien.core.errors import RequestError
from mien.core.photos import read_photo
from mien.core.version import __version__
from mien.evaluation import plots
from mien.evaluation.report import (
    Figure,
    Report,
    ReportPicture,
    ReportProvenance,
    ReportTable,
    Section,
    as_html,
    as_json,
    check_directory,
    shown,
    write,
)
from mien.evaluation.statistics import proportion

ABOUT = ReportProvenance("fake 1", seed=7, details={"split": None}, command="mien x", date="today")


def report(**changes) -> Report:
    rate = Figure.of(
        proportion(9, 10), name="detection_n10", label="detection rate", subject="generated", unit="%", better="higher"
    )
    real = Figure("detection_n20", "detection rate", "real", 0.75, 20, unit="%")
    picture = ReportPicture("sheet", "Faces <of> nobody", np.full((20, 30, 3), 200, np.uint8), {"model": "fake"})
    section = Section("Found?", "A & B", (rate, real), (ReportTable(("a", "b"), (("x", None), (3, 0.25))),), (picture,))
    return Report("A crowd", "Good.", (section,), ABOUT, **changes)


def test_written_report_reads_back_with_its_pictures(tmp_path):
    page = write(report(), tmp_path / "out")
    values = json.loads((tmp_path / "out" / "report.json").read_text())
    assert values["figures"][0]["value"] == 0.9
    assert values["figures"][0]["name"] == "detection_n10"
    assert values["figures"][0]["low"] < 0.9 < values["figures"][0]["high"]
    last = {"software": f"mien {__version__}", "command": "mien x", "date": "today"}
    assert values["provenance"] == {"model": "fake 1", "seed": 7, "split": None, **last}
    assert list(values["provenance"])[-1] == "date"
    assert values["sections"][0]["pictures"] == [{"file": "sheet.png", "caption": "Faces <of> nobody"}]
    assert read_photo(page.parent / "sheet.png").shape == (20, 30, 3)
    assert sorted(path.name for path in page.parent.iterdir()) == ["report.html", "report.json", "sheet.png"]


def test_page_shows_value_interval_n_and_protocol_in_one_row_and_escapes_words():
    page = as_html(report())
    assert page.count("detection rate") == 1  # generated and real side by side
    for part in ("90.0 %", "75.0 %", "n = 20", "detection_n10", "A &amp; B", "Faces &lt;of&gt; nobody", "0.250"):
        assert part in page
    assert "http://" not in page  # self-contained: nothing is loaded from elsewhere
    assert "https://" not in page


def test_numbers_that_are_not_finite_become_null():
    figure = Figure("x_n1", "x", "real", float("nan"), 1)
    values = as_json(Report("t", "s", (Section("a", "b", (figure,)),)))
    assert values["figures"][0]["value"] is None


def test_existing_report_is_kept_unless_forced(tmp_path):
    check_directory(tmp_path, force=False)  # an empty directory is fine
    write(report(), tmp_path)
    with pytest.raises(RequestError, match="--force"):
        check_directory(tmp_path, force=False)
    check_directory(tmp_path, force=True)
    with pytest.raises(RequestError, match="wants a directory"):
        check_directory(tmp_path / "report.json", force=True)


@pytest.mark.parametrize("name", ["Sheet", "a/b", "../up", ""])
def test_picture_names_stay_in_the_directory(tmp_path, name):
    bad = Section("a", "b", pictures=(ReportPicture(name, "c", np.zeros((2, 2, 3), np.uint8)),))
    with pytest.raises(ValueError, match="lower case"):
        write(Report("t", "s", (bad,)), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "unit", "wanted"),
    [(0.8483, "%", "84.8 %"), (6.123, "years", "6.12 years"), (0.03151, "", "0.0315"), (123.456, "", "123.5")],
)
def test_numbers_as_a_person_reads_them(value, unit, wanted):
    assert shown(value, unit) == wanted


def test_plots_are_photos_that_show_their_data():
    random = np.random.default_rng(0)
    drawn = [
        plots.histograms(
            {"real": random.normal(size=50), "generated": random.normal(size=40)}, x="d", marks={"m": 0.5}
        ),
        plots.bands([5, 40, 80], {"a": random.normal(size=(3, 9))}, x_label="asked", y_label="judged", diagonal=True),
        plots.bars(["a", "b"], {"real": [1.0, None], "made": [0.5, 2.0]}, y_label="y", limits=(0, 3)),
        plots.scatter(random.normal(size=30), random.normal(size=30), x_label="x", y_label="y"),
    ]
    for photo in drawn:
        assert photo.dtype == np.uint8
        assert photo.ndim == 3
        assert photo.shape[2] == 3
        assert photo.std() > 5
    other = plots.scatter(random.normal(size=30) * 3, random.normal(size=30), x_label="x", y_label="y")
    assert other.shape != drawn[3].shape or (other != drawn[3]).any()


def test_no_legend_looks_for_a_place_among_many_points() -> None:
    """Matplotlib's search may take seconds, and warns: then a report ends in a warning on a slow machine."""
    source = Path(plots.__file__).parents[1]
    calls = [line for path in source.rglob("*.py") for line in path.read_text().splitlines() if ".legend(" in line]
    assert len(calls) >= 2
    assert [line for line in calls if "loc=" not in line] == []
