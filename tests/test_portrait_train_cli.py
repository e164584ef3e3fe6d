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
        (("--preset", "paper", "--set", "pitch=5,-5"), "--set: pitch: the first is to be under the second, given ["),
        (("--preset", "paper", "--set", "without=Wearing Fez"), "--set: without: no such attribute; near: Wearing Hat"),
        (("--preset", "paper", "--set", "size=100"), "--set: size: Input should be a multiple of 64, given 100"),
        (("--preset", "paper", "--device", "banana"), "--device: 'banana' given; allowed: auto, cpu, cuda"),
        (("--preset", "paper", "--precision", "fp8"), "--precision: 'fp8' given; allowed: auto, fp32, bf16"),
        (("--preset", "paper", "--minutes", -1), "--minutes: -1 given, allowed are 0 and more"),
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
def test_two_steps_on_made_faces_and_a_third(
    cli_here: Callable[..., Any], models_cache: Path, made_faces: Path, tmp_path: Path
) -> None:
    dest, out, few = tmp_path / "dest", tmp_path / "run", tmp_path / "few"
    few.mkdir()
    kept = (made_faces / "labels.csv").read_text().splitlines()[::4]  # every fourth row: 20 faces, and the heading
    (few / "labels.csv").write_text("\n".join(kept) + "\n")
    for line in kept[1:]:
        name = line.partition(",")[0]
        (few / name).write_bytes((made_faces / name).read_bytes())
    assert cli_here("data", "prepare", "folder", few, dest, "--jobs", 1).exit_code == 0

    def train(*more: object) -> Any:
        return cli_here("train", "portrait", "--preset", "paper", "--data", dest, "--out", out, "--threads", 1, *more)

    counted = train("--set", "yaw=60", "--set", "count=yes")
    assert counted.exit_code == 0
    assert "|yaw| <= 60 degrees" in counted.stderr
    assert not out.exists()
    small = ("--set", "size=64", "--batch", 2)
    loose = ("--set", "yaw=60", "--set", "pitch=-60,60")
    done = train(*small, *loose, "--steps", 2)
    assert done.exit_code == 0, done.exception
    assert (out / "weights.safetensors").is_file()
    assert (out / "faces.json").is_file()
    assert list(out.rglob("preview-*.png"))
    again = train(*small, *loose, "--steps", 3)
    assert isinstance(again.exception, RequestError)
    assert "--resume" in str(again.exception)
    assert train(*small, *loose, "--steps", 3, "--resume").exit_code == 0
    other = train(*small, "--set", "yaw=50", "--steps", 4, "--resume")
    assert isinstance(other.exception, RequestError)  # other faces are another run
