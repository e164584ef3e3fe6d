"""`mien train portrait` on the command line: what it refuses, and a run of two steps on made faces, resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mien.core.errors import RequestError


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--preset", "best"), "--preset: no 'best' for portrait; allowed: mien, paper"),
        (("--preset", "paper", "--steps", 0), "--steps: 0 given, allowed are 1 and more"),
        (("--preset", "paper", "--set", "yaw=-1"), "--set: yaw: Input should be greater than 0, given -1"),
        (("--preset", "paper", "--set", "pitch=5,-5"), "--set: pitch=5,-5 given; wanted a range of degrees"),
        (("--preset", "paper", "--set", "without=Wearing Fez"), "--set: without=Wearing Fez given; near: Wearing Hat"),
        (("--steps", 5), "--steps: preset 'mien' of portrait does not use it; it uses --data, --out, --preset"),
        (("--resume",), "--resume: preset 'mien' of portrait does not use it"),
        (("--set", "yaw=3"), "'yaw=3' given; preset 'mien' of portrait has no settings"),
    ],
)
def test_wrong_words_are_named(cli_here: Callable[..., Any], words: tuple[object, ...], message: str) -> None:
    result = cli_here("train", "portrait", "--data", "nowhere", "--out", "run", *words)
    assert isinstance(result.exception, RequestError)
    assert message in str(result.exception)


@pytest.mark.models
@pytest.mark.slow
def test_two_steps_on_made_faces_and_two_more(
    cli: Callable[..., Any], models_cache: Path, made_faces: Path, tmp_path: Path
) -> None:
    dest, out = tmp_path / "dest", tmp_path / "run"
    assert cli("data", "prepare", "folder", made_faces, dest).returncode == 0
    counted = cli(
        "train", "portrait", "--preset", "paper", "--data", dest, "--out", out, "--set", "yaw=60", "--set", "count=yes"
    )
    assert counted.returncode == 0
    assert "|yaw| <= 60 degrees" in counted.stderr
    assert not out.exists()
    words = (
        "train",
        "portrait",
        "--preset",
        "paper",
        "--data",
        dest,
        "--out",
        out,
        "--set",
        "size=64",
        "--batch",
        2,
        "--threads",
        1,
    )
    loose = ("--set", "yaw=60", "--set", "pitch=-60,60")
    done = cli(*words, *loose, "--steps", 2)
    assert done.returncode == 0, done.stderr
    assert (out / "weights.safetensors").is_file()
    assert (out / "faces.json").is_file()
    assert list(out.rglob("preview-*.png"))
    again = cli(*words, *loose, "--steps", 3)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    assert cli(*words, *loose, "--steps", 3, "--resume").returncode == 0
    other = cli(*words, "--set", "yaw=50", "--steps", 4, "--resume")
    assert other.returncode != 0  # other faces are another run
