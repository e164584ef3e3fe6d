"""From faces to a catalogue, a trained network and faces again, by the command line alone.

The faces are made by mien (``made_faces``), so this runs where there is no photograph of anybody.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from mien.core.photos import read_photo

Cli = Callable[..., subprocess.CompletedProcess[str]]
CliHere = Callable[..., Result]
FOUND_AT_LEAST = 0.9  # of the faces that mien made, by the detector


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, made_faces: Path, models_cache: Path, cli: Cli) -> Path:
    """A dataset prepared from the made faces."""
    dest = tmp_path_factory.mktemp("dataset") / "faces"
    done = cli("data", "prepare", "folder", made_faces, dest, "--jobs", 1)
    assert done.returncode == 0, done.stderr
    return dest


@pytest.mark.models
def test_made_faces_are_found_and_keep_their_labels(dataset: Path, made_faces: Path) -> None:
    polars = pytest.importorskip("polars")
    asked = [json.loads(line) for line in (made_faces / "manifest.jsonl").read_text().splitlines()]
    catalog = polars.read_parquet(dataset / "catalog.parquet")
    assert catalog.height == len(asked)
    kept = catalog.filter(polars.col("drop_reason").is_null())
    dropped = catalog.filter(polars.col("drop_reason").is_not_null())["drop_reason"].to_list()
    assert kept.height >= FOUND_AT_LEAST * len(asked), dropped
    labels = {row["key"]: (row["sex"], row["age_years"]) for row in kept.iter_rows(named=True)}
    for row in asked:
        if row["file"] in labels:
            sex, age = labels[row["file"]]
            assert sex == row["sex"]
            assert age == pytest.approx(row["age"], abs=0.05)


@pytest.mark.models
def test_preparing_again_changes_no_byte(dataset: Path, made_faces: Path, cli: Cli, tmp_path: Path) -> None:
    done = cli("data", "prepare", "folder", made_faces, tmp_path / "again", "--jobs", 2)
    assert done.returncode == 0, done.stderr

    def parquet(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}

    assert parquet(dataset)
    assert parquet(tmp_path / "again") == parquet(dataset)


@pytest.mark.models
@pytest.mark.slow
def test_a_network_is_trained_and_makes_faces(dataset: Path, cli_here: CliHere, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = cli_here(
        "train",
        "crowd",
        "--preset",
        "paper",
        "--data",
        dataset,
        "--out",
        run,
        "--steps",
        3,
        "--batch",
        16,
        "--threads",
        1,
    )
    assert done.exception is None, done.exception
    weights = run / "weights.safetensors"
    assert weights.is_file()
    out = tmp_path / "faces"
    done = cli_here(
        "crowd", "--count", 2, "--preset", "paper", "--weights", weights, "--sex", "male", "--seed", 3, "--out", out
    )
    assert done.exception is None, done.exception
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert [row["sex"] for row in rows] == ["male", "male"]
    assert all(read_photo(out / row["file"]).shape == (64, 64, 3) for row in rows)


@pytest.mark.usefixtures("made_faces")
def test_the_same_seed_makes_the_same_crowd_whatever_the_count(cli_here: CliHere, tmp_path: Path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    for count, out in ((3, few), (7, many)):
        done = cli_here("crowd", "--count", count, "--sex", "any", "--age", "20-70", "--seed", 4, "--out", out)
        assert done.exception is None, done.exception
    assert len(list(many.glob("0*.png"))) == 7
    for path in sorted(few.glob("0*.png")):
        assert (read_photo(path) == read_photo(many / path.name)).all()
    manifests = [(out / "manifest.jsonl").read_text().splitlines() for out in (few, many)]
    assert manifests[0] == manifests[1][:3]
