"""`mien character`: one person several times, who stays who they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from mien.attributes.person import packaged_person_reader
from mien.core.contract import FaceRequest
from mien.core.photos import read_photo
from mien.generators.imagine.density import Condition
from mien.generators.painter.ages import aimed_years
from mien.generators.painter.character import AGES_YEARS, ANGLES_DEGREES, EXPRESSIONS, variations
from mien.generators.painter.people import painted

Run = Callable[..., Result]
NAMES = [*ANGLES_DEGREES, *EXPRESSIONS, *(f"{years} years" for years in AGES_YEARS)]


def test_a_character_is_written_with_a_sheet_and_is_the_same_again(cli_here: Run, tmp_path: Path) -> None:
    words = ("character", "a woman of 30", "--seed", "4", "--size", "128", "--out")
    done = cli_here(*words, str(tmp_path / "a"))
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in (tmp_path / "a" / "manifest.jsonl").read_text().splitlines()]
    assert [row["variation"] for row in rows] == NAMES
    assert {row["seed"] for row in rows} == {4}
    assert read_photo(tmp_path / "a" / "sheet.png").shape == (3 * 282, 5 * 256, 3)
    pictures = np.stack([read_photo(tmp_path / "a" / row["file"]) for row in rows]).astype(float)
    apart = np.abs(pictures[:, None] - pictures[None]).mean((2, 3, 4))
    assert apart[np.triu_indices(len(rows), 1)].min() > 0.5, "no picture twice"
    assert cli_here(*words, str(tmp_path / "b")).exit_code == 0
    assert np.array_equal(read_photo(tmp_path / "b" / "00007.png"), read_photo(tmp_path / "a" / "00007.png"))


def test_each_variation_changes_what_it_says() -> None:
    makes, reads = painted(), packaged_person_reader()
    found = {one.name: one for one in variations(makes, Condition({"Male": False}, (28.0, 32.0)), FaceRequest(3, 0))}
    assert list(found) == NAMES
    for years in AGES_YEARS:
        read, woman = reads.read(found[f"{years} years"].features[None])
        assert float(read[0]) == pytest.approx(sum(aimed_years((years, years))) / 2, abs=3)
        assert float(woman[0]) > 0.5
    scores = makes.density.probes.scores(makes.density.frame.codes(np.stack([one.features for one in found.values()])))
    smiling = dict(zip(found, scores[:, makes.density.probes.index("Smiling")], strict=True))
    assert smiling["smiling"] > smiling["neutral"]
    assert smiling["smiling"] > smiling["frowning"]
    scenes = makes.renderer.scenes
    assert scenes is not None
    codes = makes.density.frame.codes(np.stack([found[name].features for name in ANGLES_DEGREES]))
    yaw = (np.append(codes, np.ones((len(codes), 1)), 1) @ scenes.guide)[:, scenes.names.index("yaw")]
    assert (np.diff(yaw) > 0).all(), "codes turn with what is asked"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("character", "zzz", "--out", "o"), "zzz"),
        (("character", "woman", "--size", "77", "--out", "o"), "size: 77"),
        (("character", "woman", "--age", "x", "--out", "o"), "--age"),
    ],
)
def test_what_cannot_be_is_refused(cli_here: Run, words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = cli_here(*words[:-1], str(tmp_path / "o"))
    assert done.exit_code != 0
    assert told in f"{done.exception}{done.output}"
