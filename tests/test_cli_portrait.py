"""`mien portrait`: what it refuses, and portraits of made faces with their manifest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from mien.core.errors import RequestError
from mien.core.images import write_png
from mien.core.photos import png_texts
from mien.pipelines.portrait import parse_background


@pytest.mark.parametrize(
    ("text", "colour"),
    [("white", (255, 255, 255)), ("transparent", None), ("#ff8000", (255, 128, 0)), ("#000000", (0, 0, 0))],
)
def test_backgrounds(text: str, colour: tuple[int, int, int] | None) -> None:
    assert parse_background(text) == colour


@pytest.mark.parametrize("text", ["ff8000", "#ff80", "red", "", "#gggggg", "#ff80001"])
def test_other_backgrounds_are_refused(text: str) -> None:
    with pytest.raises(RequestError, match="--background: '.*' given; allowed: white, transparent, a colour"):
        parse_background(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--size", 8), "--size: 8 given; allowed are 32 to 1024"),
        (("--preset", "paper"), "--preset: paper has no packaged weights"),
        (("--background", "blue"), "--background: 'blue' given"),
        (("--refine", 101), "--refine: 101 given; allowed are 0 to 100"),
        (
            ("--preset", "paper", "--weights", "w", "--refine", 3),
            "--refine: preset 'paper' of portrait has no",
        ),
        (
            ("--set", "glow=1"),
            "--set: 'glow=1' given; preset 'mien' of portrait knows steps=8 (of drawing again; 0: no",
        ),
        (("--set", "rate=fast"), "--set: rate: Input should be a valid number"),
        (("--set", "steps=101"), "--set: steps: Input should be less than or equal to 100, given 101"),
        (("--set", "rate"), "--set: 'rate' given; preset 'mien' of portrait knows"),
        (("--preset", "paper", "--weights", "w", "--set", "rate=1"), "preset 'paper' of portrait has no settings"),
        (("--preset", "best"), "preset: 'best' given; allowed: mien, paper"),
    ],
)
def test_wrong_words_are_named(cli_here: Callable[..., Any], words: tuple[object, ...], message: str) -> None:
    result = cli_here("portrait", "nowhere.jpg", "--out", "made", *words)
    assert isinstance(result.exception, RequestError)
    assert message in str(result.exception)


def test_help_says_that_an_embedding_is_personal_data(cli_here: Callable[..., Any]) -> None:
    shown = " ".join(cli_here("portrait", "--help").stdout.split())
    assert "personal data" in shown
    assert "synthetic" in shown


@pytest.mark.models
@pytest.mark.slow
def test_portraits_of_made_faces(
    cli: Callable[..., Any], checkout: Path, models_cache: Path, made_faces: Path, tmp_path: Path
) -> None:
    if not (checkout / "src" / "mien" / "weights" / "portrait-mien.safetensors").is_file():
        pytest.skip("src/mien/weights/portrait-mien.safetensors is not there yet")
    grey = tmp_path / "no-face.png"
    write_png(grey, np.full((80, 80, 3), 128, np.uint8))
    photos = [made_faces / f"{k:05d}.png" for k in (15, 60)]
    done = cli("portrait", *photos, "--out", tmp_path / "made", "--sheet", "--size", 192)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "made" / "manifest.jsonl").read_text().splitlines()]
    assert [row["file"] for row in rows] == ["00000.png", "00001.png"]
    for row, photo in zip(rows, photos, strict=True):
        assert (row["photo"], row["face"], row["model"]) == (str(photo), 0, "portrait-mien")
        assert abs(row["pose"]["yaw_degrees"]) < 10
        assert -1 <= row["identity_similarity"] <= 1
        assert "+refined-8b+enlarger-" in row["model_version"]
        with PIL.Image.open(tmp_path / "made" / row["file"]) as image:
            assert (image.size, image.mode) == ((192, 192), "RGB")
            assert min(image.getpixel((1, 1))) >= 252  # white, but for the watermark
        about = png_texts((tmp_path / "made" / row["file"]).read_bytes())
        assert "AI-generated" in about["Comment"]
        assert json.loads(about["mien"]) == row
    assert (tmp_path / "made" / "sheet.png").is_file()

    words = ("--out", tmp_path / "partly", "--background", "transparent", "--largest", "--refine", 0)
    partly = cli("portrait", photos[0], grey, *words)
    assert partly.returncode == 1
    assert "no face found" in partly.stderr
    assert "1 of 2 photos gave no portrait" in partly.stderr
    once = json.loads((tmp_path / "partly" / "manifest.jsonl").read_text())
    assert "refined" not in once["model_version"]
    assert once["identity_similarity"] < rows[0]["identity_similarity"]  # drawn once, it is less like the person
    with PIL.Image.open(tmp_path / "partly" / "00000.png") as image:
        assert image.mode == "RGBA"
        assert image.getpixel((1, 1))[3] < 30
    again = cli("portrait", photos[0], "--out", tmp_path / "partly")
    assert again.returncode == 2
    assert "--force" in again.stderr
