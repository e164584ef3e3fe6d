"""Sex by cross-validation: folds of people, the sum, what the report says, and the command on a small dataset."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_cli_train_attributes import dest, narrow  # noqa: F401 (fixtures: the small dataset and its encoder)
from test_faces_sex_readers import networks  # noqa: F401 (fixture: networks that see brightness only)
from typer.testing import Result

from mien.core.errors import TooFewError
from mien.evaluation.experiments.sex import TOGETHER, Sexed, folds_of, sex_report, standardised_sum


def people(n: int) -> Sexed:
    random = np.random.default_rng(0)
    ages = random.uniform(0, 90, n).astype(np.float32)
    lfw = np.arange(n) % 3 == 0
    ages[lfw] = np.nan
    return Sexed(
        (np.arange(n) % 2).astype(np.float32),
        ages,
        tuple("lfw" if yes else "utkface" for yes in lfw),
        tuple(("train", "validation", "test")[k % 3] for k in range(n)),
        tuple(("White", "")[k % 2] for k in range(n)),
    )


def test_nobody_is_in_two_folds_and_folds_are_even() -> None:
    names = [f"person {k // 3}" for k in range(6000)]
    fold = folds_of(names, 5, 1)
    for person in range(2000):
        assert len(set(fold[3 * person : 3 * person + 3])) == 1
    assert np.bincount(fold).min() > 1000
    assert np.array_equal(fold[::-1], folds_of(names[::-1], 5, 1))  # by name, not by place
    assert not np.array_equal(fold, folds_of(names, 5, 2))


def test_the_sum_gives_everybody_the_same_say_in_each_fold() -> None:
    fold = np.array([0, 0, 0, 1, 1, 1])
    a = np.array([-1.0, 0.0, 1.0, -10.0, 0.0, 10.0])
    b = np.array([50.0, 0.0, -50.0, -3.0, 0.0, 3.0])
    assert standardised_sum({"a": a, "b": b}, fold)[:3] == pytest.approx([0, 0, 0])
    assert standardised_sum({"a": a, "b": b}, fold)[5] == pytest.approx(2 * np.sqrt(1.5))


def test_the_report_counts_by_hand() -> None:
    faces = people(600)
    truth = np.where(faces.female > 0.5, 1.0, -1.0)
    one, two = truth.copy(), truth.copy()
    adults = np.flatnonzero(faces.adults)
    one[adults[:10]] *= -3
    two[adults[8:13]] *= -0.1  # wrong on five, two of them with the first, but without conviction
    found = sex_report(faces, {"one": one, "two": two}, np.arange(600) % 5, {"mien": "0"})
    value = {(f.subject, f.label): f for section in found.sections for f in section.figures}
    n = len(adults)
    assert value["one", "sex right, known age, 20 years and over"].value == pytest.approx(1 - 10 / n)
    assert value["two", "sex right, known age, 20 years and over"].value == pytest.approx(1 - 5 / n)
    together = value[TOGETHER, "sex right, known age, 20 years and over"]
    assert together.value == pytest.approx(1 - 10 / n)  # the first is surer
    assert (together.n, value["one", "sex right, LFW"].n) == (n, 200)
    assert value["one", "sex right, LFW"].value == 1
    rows = {tuple(row[:2]): row for row in found.sections[0].tables[0].rows}
    assert rows["known age, 20 years and over", "two"][2:6] == (n, 5, 8, 3)
    assert rows["known age, 20 years and over", "one"][4:] == ("", "", "")
    assert "split test, adults" in {row[0] for row in found.sections[0].tables[1].rows}
    with pytest.raises(TooFewError, match="needed are 30"):
        sex_report(people(9), {"one": truth[:9]}, np.zeros(9, np.int64), {})


@pytest.mark.usefixtures("networks")
def test_the_command_reads_everybody_by_heads_that_never_saw_them(
    cli_here: Callable[..., Result],
    dest: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mien.apps.cli import experiment_sex
    from mien.training import sex_readers

    looks = experiment_sex.looks_by_reader

    def without_facenet(dataset, sights, rows):  # type: ignore[no-untyped-def]
        """FaceNet is not there: brightness stands for it, too."""
        monkeypatch.setattr("mien.faces.encoder.load_encoder", lambda name: None)
        pool = dataset.decoded(rows, 64).mean((1, 2, 3))[:, None].repeat(4, 1)
        monkeypatch.setattr("mien.apps.cli.experiment.encoded", lambda *words: pool.astype(np.float32))
        return looks(dataset, sights, rows)

    monkeypatch.setattr(experiment_sex, "looks_by_reader", without_facenet)
    learnt: list[int] = []
    train = sex_readers.train_sex_readers

    def told(looks, female, ages, *rest, **more):  # type: ignore[no-untyped-def]
        learnt.append(len(looks))
        return train(looks, female, ages, *rest, **{**more, "starts": min(2, more["starts"])})

    monkeypatch.setattr(sex_readers, "train_sex_readers", told)
    monkeypatch.setattr(sex_readers, "BATCH", 16)
    words = ["experiment", "sex", "--data", str(dest), "--folds", "3", "--steps", "40", "--seed", "1"]
    done = cli_here(*words, "--out", str(tmp_path / "r"))
    assert done.exception is None, done.exception
    found = json.loads((tmp_path / "r" / "report.json").read_text())
    figures = {(each["subject"], each["label"]): each for each in found["figures"]}
    count = figures["facenet", "sex right, every face"]["n"]
    assert {subject for subject, _ in figures} == {"facenet", "dlib-resnet", "faceres", "together"}
    assert len(learnt) == 9
    assert sum(learnt[:3]) == 2 * count  # each face is left out once
    assert figures["dlib-resnet", "sex right, every face"]["value"] > 0.95  # bright and dark are easily told apart
    assert figures["together", "sex right, every face"]["value"] > 0.95
    assert (tmp_path / "r" / "report.html").is_file()

    # A run that was stopped early judges nobody.
    def stopped(*given, **more):  # type: ignore[no-untyped-def]
        outcome, head = train(*given, **{**more, "starts": 1})
        return replace(outcome, finished=False, stopped_by="SIGTERM"), head

    monkeypatch.setattr(sex_readers, "train_sex_readers", stopped)
    done = cli_here(*words, "--out", str(tmp_path / "s"))
    assert "stopped by SIGTERM; the same command goes on" in str(done.exception)
    assert not (tmp_path / "s" / "report.html").exists()
