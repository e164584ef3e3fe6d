"""What features say of the person: the posterior mean, two photos of one person, a photo and its mirror image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mien.core.checkpoints import load_weights
from mien.core.errors import DatasetError
from mien.generators.decoder import Decoder, DecoderConfig
from mien.generators.portrait.mien import MienPortrait
from mien.generators.portrait.neutral import NeutralConfig, Neutraliser
from mien.generators.portrait.silhouette import cut_out, over, person_colours
from mien.pipelines.portrait_model import PortraitPipeline
from mien.training.portrait_neutral import export
from mien.training.portrait_person import MOST_PHOTOS, covariances, person_directions

SIZE = 10
BETWEEN = np.diag([4.0, 3, 2, 1, 0.5, 0, 0, 0, 0, 0])
WITHIN = np.diag([0.5, 0.5, 1, 1, 1, 1, 1, 1, 2, 2])
TINY = DecoderConfig(features=6, style=2, trunk=8, code=8, channels=(8, 8, 8, 8), rgb_from_px=8)


def photographed(count: int = 3000, photos: int = 3) -> tuple[np.ndarray, list[str]]:
    """Features (N 10) of people who differ as ``BETWEEN`` says, in photos that differ as ``WITHIN`` says."""
    draws = np.random.default_rng(0)
    person = np.repeat(draws.normal(size=(count, SIZE)), photos, 0) @ np.sqrt(BETWEEN)
    known = 1.5 + person + draws.normal(size=person.shape) @ np.sqrt(WITHIN)
    return known.astype(np.float32), [str(k) for k in np.repeat(np.arange(count), photos)]


def test_the_covariances_are_those_that_the_photos_were_drawn_with() -> None:
    known, people = photographed()
    common, between, within = covariances(known, people)
    assert np.abs(common - 1.5).max() < 0.1
    assert np.abs(between - BETWEEN).max() < 0.25
    assert np.abs(within - WITHIN).max() < 0.1
    assert np.linalg.eigvalsh(between).min() > -1e-9


def test_a_person_of_many_photos_weighs_as_one_of_six() -> None:
    known, people = photographed(300)
    often = np.concatenate([known, np.tile(known[:3] + 50, (100, 1))])  # one far away, photographed 300 times
    six = np.concatenate([known, np.tile(known[:3] + 50, (2, 1))])
    of_many = covariances(often, [*people, *["x"] * 300])
    of_six = covariances(six, [*people, *["x"] * MOST_PHOTOS])
    assert of_many[0] == pytest.approx(of_six[0])
    assert np.abs(of_many[1] - of_six[1]).max() < 0.02 * np.abs(of_six[1]).max()


def test_directions_give_the_posterior_mean() -> None:
    known, people = photographed()
    _, between, within = covariances(known, people)
    for strength, floor in ((1.0, 0.0), (0.3, 0.3)):
        made = person_directions(known, people, strength=strength, floor=floor, rank=SIZE)
        by_hand = between @ np.linalg.inv(between + strength * within + floor * np.eye(SIZE))
        assert np.allclose(made.inward @ made.outward, by_hand.T, atol=1e-8)
        assert (np.diff(made.shares) <= 1e-9).all()
        assert made.shares.min() > -1e-9
        assert made.shares.max() < 1
    few = person_directions(known, people, strength=1.0, floor=0.0, rank=4)
    assert few.inward.shape == (SIZE, 4)
    assert np.allclose(few.shares, [8 / 9, 6 / 7, 2 / 3, 1 / 2], atol=0.03)


def test_nobody_photographed_twice_is_refused() -> None:
    known, people = photographed(5)
    for nobody in ([str(k) for k in range(len(people))], [None] * len(people)):
        with pytest.raises(DatasetError, match="photographed twice"):
            person_directions(known, nobody, strength=1.0, floor=0.0, rank=2)


def of_people() -> Neutraliser:
    known, people = photographed()
    found = person_directions(known, people, strength=1.0, floor=0.0, rank=5)
    made = Neutraliser(NeutralConfig(features=SIZE, style=2, person=5))
    for name in ("common", "inward", "outward"):
        getattr(made, name).copy_(torch.from_numpy(getattr(found, name)).float())
    return made


def test_two_photos_of_a_person_agree_more_and_people_stay_apart() -> None:
    known, _ = photographed()
    read = of_people().person(torch.from_numpy(known)).numpy().reshape(-1, 3, SIZE)
    before = known.reshape(-1, 3, SIZE)

    def ratio(values: np.ndarray) -> float:
        own = np.linalg.norm(values[:, 0] - values[:, 1], axis=1).mean()
        others = np.linalg.norm(values[:, 0] - np.roll(values[:, 1], 1, 0), axis=1).mean()
        return float(own / others)

    assert ratio(read) < 0.7 * ratio(before)
    nearer = np.linalg.norm(read[:, 0] - read[:, 1], axis=1) < np.linalg.norm(before[:, 0] - before[:, 1], axis=1)
    assert nearer.mean() > 0.95


def test_without_directions_features_stay() -> None:
    known = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Neutraliser(NeutralConfig(features=6, style=2)).person(known), known)


def test_other_directions_are_another_version_and_come_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    decoder = Decoder(TINY)
    features = torch.randn(4, 6)
    versions = set()
    for seed in (1, 2):
        made = Neutraliser(NeutralConfig(features=6, style=2, person=3))
        for value in made.buffers():
            value.copy_(torch.randn(value.shape, generator=torch.Generator().manual_seed(seed)) / 3)
        path = tmp_path / f"{seed}.safetensors"
        export(path, made, decoder, {}, with_decoder=True)
        versions.add(load_weights(path)[1]["version"])
        back = MienPortrait.load(path).person(features)
        assert torch.allclose(back, MienPortrait(decoder, made, "x").person(features), atol=1e-3)
    assert len(versions) == 2


@given(value=st.integers(0, 255), seed=st.integers(0, 99))
def test_one_colour_stays_one_colour(value: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((24, 24)).astype(np.float32)
    mask[8:16, 8:16] = 1
    portrait = np.full((24, 24, 3), value, np.uint8)
    assert np.abs(person_colours(portrait, mask) - value).max() < 0.5
    assert np.array_equal(cut_out(portrait, mask)[..., :3], portrait)


def test_no_rim_of_the_old_background_shines_on_another() -> None:
    y, x = np.mgrid[:256, :256]
    far = np.hypot(x - 127.5, y - 127.5)
    mask = np.clip((88 - far) / 8, 0, 1).astype(np.float32)
    drawn_edge = np.clip((88 - far) / 12, 0, 1)[..., None]  # what is drawn fades a little earlier than the mask
    portrait = (drawn_edge * np.array((60, 40, 30)) + (1 - drawn_edge) * 250).astype(np.uint8)
    assert (portrait * mask[..., None])[..., 0].max() > 110  # the rim
    laid = over(portrait, mask, (0, 0, 0)).astype(int)
    assert laid[..., 0].max() < 75
    assert np.array_equal(person_colours(portrait, np.zeros_like(mask)), portrait)
    middle = slice(100, 156)
    assert np.abs(person_colours(portrait, mask)[middle, middle] - portrait[middle, middle]).max() < 0.5


@pytest.mark.models
@pytest.mark.slow
def test_a_photo_and_its_mirror_image_give_one_portrait(models_cache: Path, made_faces: Path) -> None:
    from mien.core.photos import read_photo

    maker = PortraitPipeline.load()
    crop = read_photo(made_faces / "00015.png")
    one, _ = maker.of_crop(crop)
    two, _ = maker.of_crop(np.ascontiguousarray(crop[:, ::-1]))
    assert np.abs(one.astype(int) - two).mean() < 1
