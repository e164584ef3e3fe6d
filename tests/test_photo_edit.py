"""`edit`: the flow's change by hand, where it is laid, which of its strengths is taken, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mien.attributes.sentences import Description
from mien.core.errors import PhotoError, RequestError
from mien.core.photos import decode_photo, png_texts
from mien.core.records import Box, Detection, Face, UInt8Image
from mien.faces import align
from mien.generators.imagine.density import Condition
from mien.generators.painter.basis import PatchBasis
from mien.generators.painter.editing import STRENGTHS, changes, edited_tokens, ellipse, head, laid_over, told
from mien.generators.painter.editor import OFF_YEARS, FaceRead, between, choose, completed, off
from mien.generators.painter.network import Given, Painter, PainterConfig
from mien.generators.painter.renderer import PainterRenderer
from mien.pipelines.load import load
from mien.pipelines.photo_edit import read_request
from mien.provenance.reading import examine_bytes

TINY = PainterConfig(
    size_px=32, patch_px=16, channels=6, code=4, conditions=2, sources=2, width=24, depth=2, heads=2, hidden=32
)


def given(value: float) -> Given:
    """What one person is told by: a code of one number."""
    one = torch.ones(1, 1)
    return Given(torch.full((1, 4), value), one, 0 * one, torch.zeros(1, 2), torch.zeros(1, 2),
                 torch.full((1,), 2), torch.ones(1, 4), one)  # fmt: skip


class Constant:
    """Its clean picture is the code, whatever the noise."""

    config = TINY

    def __call__(self, noisy: torch.Tensor, time: torch.Tensor, given: Given) -> torch.Tensor:
        return given.code[:, :1, None].expand_as(noisy)


def renderer() -> PainterRenderer:
    torch.manual_seed(0)
    painter, basis = Painter(TINY), PatchBasis(32, 16, 6)
    for parameter in painter.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    basis.fit(torch.nn.functional.interpolate(torch.randn(8, 3, 4, 4), size=(32, 32), mode="bicubic").clamp(-1, 1))
    frame = {"mean": torch.zeros(4), "deviation": torch.ones(4), "axes": torch.eye(4), "scale": torch.ones(4)}
    scale = {"age": [0.4, 0.2], "Smiling": [0.5, 0.3]}
    about = {"conditions": list(scale), "sources": ["a", "b"], "scale": scale, "asked": {}, "version": "tiny"}
    return PainterRenderer(painter, basis, frame, about, "any")


def test_a_constant_flow_moves_by_the_strength_times_what_differs() -> None:
    """dz = (s (after - before) - (z - x)) dt / (1 - t), whose end is z - x = s (after - before), in any steps."""
    tokens = torch.randn(1, 4, 6, generator=torch.Generator().manual_seed(1))
    for steps in (2, 7):
        constant: Any = Constant()
        found = edited_tokens(
            constant, tokens, given(0.5), given(0.8), (1.0, 2.0), np.random.default_rng(0), steps=steps
        )
        for row, strength in zip(found, (1.0, 2.0), strict=True):
            assert torch.allclose(row - tokens[0], torch.full((4, 6), 0.3 * strength), atol=1e-5)


def test_whoever_is_to_stay_as_they_are_stays_as_they_are() -> None:
    makes = renderer()
    crop = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    same = told(makes, np.ones(4), {"age": 0.3, "nothing of the painter": 1.0})
    assert np.abs(changes(makes, crop, same, same)).max() < 1e-3
    other = told(makes, np.zeros(4), {"age": 0.8})
    moved = changes(makes, crop, same, other)
    assert moved.shape == (3, 64, 64, 3)
    assert np.abs(moved).max() > 1
    assert np.array_equal(moved, changes(makes, crop, same, other)), "one photo, one picture"
    assert not moved[:, :, 0].any(), "what is far from the head stays"
    assert not moved[:, 0, :8].any()


def test_conditions_are_told_in_the_painters_own_units() -> None:
    found = told(renderer(), np.arange(4.0), {"age": 0.8})
    assert found.conditions.tolist() == [[pytest.approx(2.0), 0.0]]
    assert found.conditions_known.tolist() == [[1.0, 0.0]]
    assert found.source.tolist() == [2], "the look is left open"
    assert told(renderer(), np.zeros(4), {"age": 9.0}).conditions[0, 0] == 3.0


def test_an_ellipse_is_whole_in_the_middle_and_gone_outside() -> None:
    found = ellipse(100, (0.3, 0.4), 0.8, 1.1)
    assert found[48, 50] == 1
    assert found[0, 0] == found[48, 99] == found[99, 50] == 0
    assert ((found[48, 50:] - found[48, 49:-1]) <= 0).all(), "it only falls outward"


def test_the_head_ends_where_the_background_begins() -> None:
    """An ellipse alone let grey hair shine on the sky beside it."""
    crop = np.full((128, 128, 3), (90, 160, 230), np.uint8)  # a sky
    person = ellipse(128, (0.28, 0.38), 1, 1.001) > 0
    crop[person] = (170, 120, 90)
    noise = np.random.default_rng(0).normal(0, 6, crop.shape)
    found = head(np.clip(crop + noise, 0, 255).astype(np.uint8))
    assert found[person].mean() > 0.95
    beside = (ellipse(128, (0.33, 0.44), 1, 1.001) == 0) & (ellipse(128, (0.40, 0.50), 1, 1.001) > 0)
    assert found[beside].mean() < 0.05


def face_at(x: float, y: float, side: float, turn_degrees: float = 0.0) -> Face:
    """A face whose aligned crop is the square of ``side`` px about (x, y)."""
    mesh = np.zeros((468, 3), np.float32)
    cos, sin = np.cos(np.radians(turn_degrees)), np.sin(np.radians(turn_degrees))
    for point, right, down in ((33, -0.18, -0.08), (263, 0.18, -0.08), (61, -0.1, 0.1792), (291, 0.1, 0.1792)):
        mesh[point, :2] = x + side * (cos * right - sin * down), y + side * (sin * right + cos * down)
    return Face(Detection(Box(x - 9, y - 9, x + 9, y + 9), np.zeros((6, 2), np.float32), 0.9), mesh, 0.99)


@pytest.mark.parametrize(("side", "turn"), [(128, 0), (128, 25), (400, 10), (40, 0)])
def test_a_change_is_laid_where_the_crop_was_taken(side: int, turn: float) -> None:
    photo = np.full((500, 600, 3), 100, np.uint8)
    transform = align.crop_transform(face_at(300, 250, side, turn).mesh, 128)
    change = np.full((128, 128, 3), 40, np.float32) * ellipse(128, (0.3, 0.3), 0.5, 1.0)[..., None]
    found = laid_over(photo, change, transform)
    seen = align.warp(found, transform, 128).astype(np.float32) - 100
    assert np.abs(seen - change).mean() < 1.0
    assert seen.max() == pytest.approx(40, abs=2)
    assert (found[0] == 100).all()
    assert (found[:, 0] == 100).all()
    assert (photo == 100).all(), "the photo itself is not touched"


def test_a_face_at_the_edge_of_a_photo_is_changed_as_far_as_there_is_photo() -> None:
    photo = np.full((60, 80, 3), 250, np.uint8)
    transform = align.crop_transform(face_at(5, 5, 100).mesh, 64)
    found = laid_over(photo, np.full((64, 64, 3), 30, np.float32), transform)
    assert found.shape == photo.shape
    assert found[5, 5].tolist() == [255, 255, 255], "and never beyond white"
    outside = align.crop_transform(face_at(900, 900, 100).mesh, 64)
    assert np.array_equal(laid_over(photo, np.ones((64, 64, 3), np.float32), outside), photo)


def read(years: float, woman: float = 1.0, smile: float = 0.0, turned: float = 0.0) -> FaceRead:
    """``turned``: how far the person is another one, in radians."""
    return FaceRead(
        np.zeros(4), np.array([np.cos(turned), np.sin(turned)], np.float32), years, woman, {"Smiling": smile}
    )


def test_what_a_wish_implies() -> None:
    before = read(30.0)
    old = completed(Condition({"Senior": True, "Smiling": True}), before)
    assert old.ages_years == (64.0, 90.0)
    assert dict(old.attributes) == {"Male": False, "Smiling": True}
    assert completed(Condition({}, (60.0, 60.0)), before).ages_years == (59.0, 61.0)
    assert completed(Condition({"Smiling": True}), before).ages_years == (25.0, 35.0), (
        "an age that is not asked for stays"
    )
    assert completed(Condition({"No Eyewear": True}), before).attributes["Eyeglasses"] is False
    boy = completed(Condition({}, (8.0, 8.0)), read(40.0, woman=0.1)).attributes
    assert (boy["Male"], boy["No Beard"]) == (True, True)


def test_how_far_a_face_is_from_a_wish() -> None:
    condition = Condition({"Male": False, "Smiling": True}, (50.0, 60.0))
    assert off(read(55, 1.0, 0.9), condition) == 0
    assert off(read(45, 1.0, 0.9), condition) == 5
    assert off(read(55, 1.0, 0.2), condition) == pytest.approx(0.4 * OFF_YEARS)
    assert off(read(55, 0.0, 0.9), condition) == pytest.approx(0.6 * OFF_YEARS)
    assert off(read(55, 1.0, 0.9), Condition({"Smiling": False})) == pytest.approx(0.5 * OFF_YEARS)


def test_the_weakest_change_that_does_it_is_taken_and_none_that_makes_another_person() -> None:
    before, condition = read(20.0), Condition({"Male": False}, (60.0, 62.0))
    path = [read(30), read(50), read(59, turned=0.5), read(61, turned=0.6), read(61, turned=1.4)]
    assert choose(path, before, condition, 0.5) == 2, "a year off is near enough"
    assert choose(path[:2], before, condition, 0.5) == 1
    assert choose([read(30, turned=0.2), read(50, turned=1.2), read(61, turned=1.5)], before, condition, 0.5) == 0
    assert choose([read(61, turned=2.0), read(61, turned=3.0)], before, condition, 0.5) == 0, "somebody has to be taken"


def test_nobody_changes_sex_who_did_not_ask_for_it() -> None:
    before, old = read(28.0), Condition({"Male": False}, (74.0, 76.0))
    path = [read(42, 1.0), read(66, 0.8), read(74, 0.1)]
    assert choose(path, before, old, 0.5) == 1, "a man of the age is no answer for a woman"
    assert choose(path, before, Condition({"Male": True}, (74.0, 76.0)), 0.5) == 2, "unless a man was asked for"
    child = [read(25, 1.0), read(12, 0.3)]
    assert choose(child, before, Condition({"Male": False}, (11.0, 13.0)), 0.5) == 1, "whose sex is not seen in a face"


def test_changes_between_the_strengths_begin_near_nothing_and_end_at_the_strongest() -> None:
    steps = np.stack([np.full((2, 2, 3), value, np.float32) for value in (10, 17, 26)])
    found = between(steps)
    strengths = [0.33, 0.67, 1.0, 1.23, 1.47, 1.7, 2.0, 2.3, 2.6]
    assert [strength for strength, _ in found] == strengths
    assert strengths[2::3] == list(STRENGTHS)
    assert [float(change[0, 0, 0]) for _, change in found] == pytest.approx([10 * one for one in strengths], abs=0.1)


def test_words_ages_and_sex_become_what_is_wanted() -> None:
    request = read_request(b"x", "smiling, no glasses", ages=("30", "60-70"), sex="male")
    assert [one.ages_years for one in request.wanted] == [(30.0, 30.0), (60.0, 70.0)]
    assert request.wanted[0].attributes == {"Smiling": True, "No Eyewear": True, "Male": True}
    assert request.wanted[1].attributes == request.wanted[0].attributes


WRONG = [
    ((), "nothing to change given; wanted is --age 60"),
    (("--age", "old"), "--age: 'old' given"),
    (("--age", "0"), "--age: '0' given; allowed: one age (30) or a range (20-35), from 1 to 100"),
    (("--sex", "robot"), "--sex: 'robot' given; allowed: female, male"),
    (("an old man", "--sex", "female"), "--sex: female given, but WORDS says man"),
    (("robot",), "WORDS: not understood"),
    (("--preset", "best", "--age", "60"), "--preset: 'best' given; allowed: mien, paper"),
    (("--preset", "paper", "--age", "60"), "paper has no packaged encoder; give --weights of `mien train encoder`"),
    (("--weights", "w", "--age", "60"), "--weights: preset 'mien' of edit does not use it"),
    (("smiling", "--preset", "paper", "--weights", "w"), "'Smiling' given; the preset 'paper' knows sex and age only"),
    (("--age", "5", "--preset", "paper", "--weights", "w"), "--age: 5 given; the preset 'paper' knows 10 to 100 years"),
    (("--age", "60"), "PHOTO: nowhere.jpg given; there is no such file"),
]


def test_what_is_no_photo_is_told_before_networks_load(cli_here: Callable[..., Any], tmp_path: Path) -> None:
    page = tmp_path / "page.jpg"
    page.write_bytes(b"<!doctype html>no photo")
    for option, words in (("PHOTO", ("edit", page, "--age", "60")), ("--like", ("imagine", "smiling", "--like", page))):
        result = cli_here(*words, "--out", tmp_path / "made")
        assert isinstance(result.exception, RequestError)
        assert str(result.exception).startswith(f"{option}: {page}: not an image that can be read: it is an HTML page")
        assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(("words", "message"), WRONG)
def test_wrong_words_are_named(cli_here: Callable[..., Any], words: tuple[str, ...], message: str) -> None:
    result = cli_here("edit", "nowhere.jpg", *words, "--out", "made")
    assert isinstance(result.exception, RequestError)
    assert message in str(result.exception)


@pytest.mark.models
@pytest.mark.slow
def test_a_made_face_grows_old_and_the_rest_of_the_photo_stays(
    cli: Callable[..., Any], models_cache: Path, made_faces: Path, tmp_path: Path
) -> None:
    source = decode_photo((made_faces / "00015.png").read_bytes())
    photo: UInt8Image = np.full((400, 500, 3), 140, np.uint8)
    photo[70 : 70 + len(source), 120 : 120 + len(source)] = source
    from mien.core.images import write_png

    write_png(tmp_path / "photo.png", photo)
    done = cli("edit", tmp_path / "photo.png", "--age", 75, "--out", tmp_path / "made", "--sheet")
    assert done.returncode == 0, done.stderr
    (row,) = [json.loads(line) for line in (tmp_path / "made" / "manifest.jsonl").read_text().splitlines()]
    assert row["model"] == "edit-painter"
    assert row["age"] == [75, 75]
    assert row["read_after"]["age"] > row["read_before"]["age"] + 5
    assert row["read_after"]["sex"] == row["read_before"]["sex"]
    assert 0.45 < row["identity_similarity"] < 1
    data = (tmp_path / "made" / "00000.png").read_bytes()
    made = decode_photo(data).astype(np.int16)
    assert made.shape == photo.shape
    apart = np.abs(made - photo)
    assert apart[:60].max() <= 6, "only the watermark"
    assert apart[120:250, 180:300].max() > 25
    assert "a photograph of a person, changed" in png_texts(data)["Comment"]
    seen = examine_bytes(data)
    assert seen.credentials is not None
    assert seen.credentials.intact
    assert (tmp_path / "made" / "sheet.png").is_file()
    again = cli("edit", tmp_path / "photo.png", "--age", 75, "--out", tmp_path / "made")
    assert again.returncode == 2
    assert "--force" in again.stderr


@pytest.mark.models
def test_python_says_what_is_wrong_with_a_photo_and_a_wish(models_cache: Path) -> None:
    editor = load("edit")
    with pytest.raises(PhotoError, match="no face found"):
        editor.edit(np.full((80, 80, 3), 128, np.uint8), age="60")
    with pytest.raises(RequestError, match="nothing to change given"):
        editor.edit(np.full((80, 80, 3), 128, np.uint8))


def test_the_papers_edit_draws_with_the_labels_asked_for() -> None:
    from mien.papers.cgan_sanche.encoder import NoiseEncoder, PaperAutoencoder
    from mien.papers.cgan_sanche.networks import SancheConfig, SancheGenerator
    from mien.pipelines.photo_edit_model import PaperEdits

    torch.manual_seed(0)
    small = SancheConfig(noise=6, channels=(4, 4, 4), hidden=16, size_px=16)
    network: Any = PaperAutoencoder(NoiseEncoder(small), SancheGenerator(small), "toy")
    asked: list[Any] = []

    def redraw(image: torch.Tensor, sexes: list[str], ages_years: list[float]) -> torch.Tensor:
        asked.append((sexes, ages_years))
        return image

    network.redraw = redraw
    reader: Any = SimpleNamespace(read=lambda crops: [read(28.0)])
    edits = PaperEdits(network, reader)
    photo = np.random.default_rng(0).integers(0, 255, (300, 300, 3)).astype(np.uint8)
    face = face_at(150, 150, 120)
    made = edits.edited(photo, face, Description({}, (55.0, 55.0)), whole=True)
    assert made.image.shape == (16, 16, 3)
    assert made.row(0, "p")["strength"] is None
    edits.edited(photo, face, Description({"Male": True}), whole=True)
    assert asked == [(["female"], [55.0]), (["male"], [28.0])], "what is not asked for stays"
