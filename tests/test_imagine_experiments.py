"""Figure 5, figure 8 and table 2 of the first paper as reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.core.errors import TooFewError
from mien.core.seeding import stream
from mien.evaluation import report
from mien.evaluation.experiments.inversion import Inverted, inversion_report
from mien.evaluation.experiments.likeness import Described, Likenesses, Ruler, likeness_report
from mien.evaluation.report import ReportProvenance

PEOPLE, WIDTH, PAIRS = 5, 64, 40
DRAWS = stream(3, "likeness")


def unit(*shape: int) -> np.ndarray:
    rows: np.ndarray = DRAWS.standard_normal(shape)
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


PHOTOS = unit(PEOPLE, WIDTH)
RULER = Ruler("facenet", np.full(PAIRS, 0.7), np.full(PAIRS, 0.1), PHOTOS)
SQUARES = DRAWS.integers(0, 256, (PEOPLE, 32, 32, 3)).astype(np.uint8)
DESCRIBED = Described(tuple("abcde"), (10, 11, 12, 13, 14), SQUARES)


def method(name: str, embeddings: np.ndarray, found: bool = True) -> Likenesses:
    return Likenesses(name, SQUARES, {"facenet": embeddings}, np.full(PEOPLE, found))


def test_a_photograph_of_the_person_is_above_100_and_a_strange_face_near_0(tmp_path: Path) -> None:
    half = PHOTOS + unit(PEOPLE, WIDTH)
    methods = [method("itself", PHOTOS), method("half", half), method("stranger", unit(PEOPLE, WIDTH))]
    found = likeness_report(DESCRIBED, methods, [RULER], ReportProvenance())
    values = {figure.subject: figure.value for figure in found.figures().values()}
    assert values["itself"] == pytest.approx(0.9 / 0.6)
    assert 0.7 < values["half"] < 1.3
    assert abs(values["stranger"]) < 0.5
    table = found.sections[0].tables[0]
    assert table.columns == ("person", "attributes used", "itself, facenet", "half, facenet", "stranger, facenet")
    assert table.rows[2][:3] == ("c", 12, "150 %")
    page = report.write(found, tmp_path)
    assert page.is_file()
    assert (tmp_path / "likeness-made.png").is_file(), "the sheet that shows no photograph"


def test_a_picture_without_a_face_is_like_nobody() -> None:
    one = Inverted("inverted", SQUARES[0], [1.0, 0.5], 0.03, 0.1, 0.9, 4.0, found=False)
    figures = {
        f.label: f.value for f in inversion_report(SQUARES[2], [one], "l", ReportProvenance()).figures().values()
    }
    assert figures["cosine of the features of a person with the target's"] == figures["a face is found (cascades)"] == 0
    methods = [method("itself", PHOTOS), method("unseen", PHOTOS, found=False), method("against", -PHOTOS, found=False)]
    section = likeness_report(DESCRIBED, methods, [RULER], ReportProvenance()).sections[0]
    told = [(figure.subject, figure.label.split(",")[0], figure.value) for figure in section.figures]
    assert told[:3] == [(name, "a face is found (cascades)", found) for name, found in
                        (("itself", 1), ("unseen", 0), ("against", 0))]  # fmt: skip
    alike = {subject: value for subject, _, value in told[3:]}
    assert alike["itself"] > 1
    assert alike["unseen"] == 0
    assert alike["against"] < 0


def test_a_ruler_of_few_pairs_is_refused() -> None:
    short = Ruler("facenet", np.full(9, 0.7), np.full(9, 0.1), PHOTOS)
    with pytest.raises(TooFewError, match="9 pairs of same people"):
        likeness_report(DESCRIBED, [method("itself", PHOTOS)], [short], ReportProvenance())


def test_figure_5_has_the_target_first_and_the_losses_of_each(tmp_path: Path) -> None:
    one = Inverted("vanilla inversion", SQUARES[0], [1.0, 0.5, 0.2], 0.03, 0.1, 0.9, 4.0, True)
    two = Inverted("cGMM inversion, means", SQUARES[1], [1.0, 0.9], 0.03, 0.8, 0.3, 4.0, True)
    found = inversion_report(SQUARES[2], [one, two], "block17_10", ReportProvenance())
    values = {(figure.label, figure.subject): figure.value for figure in found.figures().values()}
    assert values["steps", "vanilla inversion"] == 3
    assert values["loss at the end", "cGMM inversion, means"] == 0.9
    figure, convergence = found.sections[0].pictures
    assert figure.photo.shape[1] == 3 * 32 + 4 * 2
    assert (figure.photo[2:34, 2:34] == SQUARES[2]).all()
    assert convergence.name == "convergence"
    report.write(found, tmp_path)
    assert "vanilla inversion: loss 1.00 to 0.200 in 3 steps, cosine 0.90" in found.summary
