"""What portraits keep (years, sex) and what comes off (hats): who is drawn, and the figures by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.attributes.age_sex import AgeSexPredictions
from mien.datasets import catalog
from mien.datasets.catalog import CatalogRow
from mien.evaluation import portrait_kept
from mien.evaluation.faces import FaceRow
from mien.evaluation.portrait_kept import HAT, KeptSample, draw_kept, judge_kept


class FakeJudges:
    """Red is the age in years, green over 127 a woman, blue the hat."""

    def ages(self, crops, on_advance):
        on_advance(len(crops))
        red, green = crops[:, 0, 0, 0].astype(np.float32), crops[:, 0, 0, 1].astype(np.float32)
        return AgeSexPredictions(red, green / 255, np.zeros((len(crops), 2), np.float32))

    def hats(self, crops, on_advance):
        on_advance(len(crops))
        return crops[:, 0, 0, 2].astype(np.float32) / 255


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Test faces of 0 to 89 years, ten of training, and seven with hats of no known age."""
    rows = []
    for place in range(107):
        aged = place < 100
        rows.append(
            CatalogRow(
                id=f"f:{place}", source="f" if aged else "g", key=str(place), licence="none", shard="f-0.parquet",
                split="train" if 90 <= place < 100 else "test", row_in_shard=place,
                age_years=float(place % 90) if aged else None, sex="female" if aged else None,
                attributes_present=() if aged else (HAT,),
            )
        )  # fmt: skip
    catalog.write_catalog(tmp_path / "data", rows)
    return tmp_path / "data"


def test_every_span_of_ages_is_drawn_by_lot_from_held_out_faces(dataset: Path) -> None:
    kept = draw_kept(dataset, 5, seed=1)
    assert [band for band, _ in kept.bands] == [(0, 3), (3, 13), (13, 20), (20, 60), (60, 121)]
    assert [len(rows) for _, rows in kept.bands] == [3, 5, 5, 5, 5]
    assert all(low <= row.age_years < high for (low, high), rows in kept.bands for row in rows)
    assert all(row.split == "test" for row in kept.rows)
    assert len(kept.hats) == 5
    assert len(kept.rows) == 28
    assert draw_kept(dataset, 5, seed=1) == kept
    assert draw_kept(dataset, 5, seed=2) != kept


def test_a_source_without_ages_has_hats_only(dataset: Path) -> None:
    rows = [row for row in catalog.read_catalog(dataset) if row.source == "g"]
    catalog.write_catalog(dataset, rows)
    kept = draw_kept(dataset, 50)
    assert kept.bands == ()
    assert len(kept.hats) == 7


def crops(ages: list[int], women: list[int], hats: list[int]) -> np.ndarray:
    return np.stack([np.full((8, 8, 3), row, np.uint8) for row in zip(ages, women, hats, strict=True)])


def test_years_sex_and_hats_are_counted_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portrait_kept, "detects", lambda crops: np.ones(len(crops), bool))
    girl, man = (FaceRow("f:1", "f", "test", "s", 0, sex, 5.0, None) for sex in ("female", "male"))
    kept = KeptSample((((3, 13), (girl, girl)), ((60, 121), (girl, man, man))), (man, man))
    photos = crops([5, 7, 60, 70, 80, 30, 30], [200, 200, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 255, 204])
    made = crops([8, 8, 60, 69, 87, 30, 30], [200, 0, 0, 0, 0, 0, 0], [9, 9, 9, 9, 9, 51, 0])
    seen: list[int] = []
    section = judge_kept(kept, photos, "portrait", made, FakeJudges(), seen.append)
    told = {(figure.subject, figure.label): (figure.value, figure.n) for figure in section.figures}
    assert told["portrait", "3 to 12 years: read as older by"] == (pytest.approx(2.0), 2)
    assert told["portrait", "60 and over years: read as older by"] == (pytest.approx(2.0), 3)
    sex = "read as of the sex that is labelled, all ages"
    assert told["photo", sex] == (pytest.approx(0.8), 5)
    assert told["portrait", sex] == (pytest.approx(0.6), 5)
    assert told["photo", f"photos marked '{HAT}': hat, judge's score"] == (pytest.approx(0.9), 2)
    assert told["portrait", f"photos marked '{HAT}': hat, judge's score"] == (pytest.approx(0.1), 2)
    (table,) = section.tables
    assert [row[0] for row in table.rows] == ["3 to 12", "60 and over"]
    assert table.rows[0][4:] == ("+2.0", "+2.0", "100.0 %", "50.0 %")
    assert table.rows[1][4:] == ("+2.0", "+0.0", "66.7 %", "66.7 %")
    assert sum(seen) == 14
