"""The default portrait: the nearest neutral code, how it is fitted, its weights, and the mask of a drawn portrait."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mien.core.checkpoints import built, save_weights
from mien.core.errors import DatasetError, RequestError, WeightsError
from mien.generators.decoder import Decoder, DecoderConfig
from mien.generators.portrait import mien as default
from mien.generators.portrait.mien import MienPortrait, digest
from mien.generators.portrait.neutral import READINGS, NeutralConfig, Neutraliser
from mien.generators.portrait.silhouette import cut_out, over, person_mask
from mien.training.portrait_neutral import (
    NeutralFitConfig,
    PhotographedFaces,
    export,
    fit,
    light_readings,
    within_people,
)

FEATURES, STYLE = 12, 4
DECODER = DecoderConfig(features=FEATURES, style=STYLE, trunk=8, code=8, channels=(8, 8, 8, 8), rgb_from_px=8)


def people(count: int = 400, photos: int = 3) -> tuple[PhotographedFaces, np.ndarray]:
    """Faces whose code is the person (all axes but 0 to 4) and what varies between photos (axes 0 to 4)."""
    draws = np.random.default_rng(0)
    person = np.repeat(draws.normal(size=(count, FEATURES)), photos, 0)
    varies = draws.normal(size=(count * photos, 5))
    known = person.copy()
    known[:, :5] = varies
    crops = draws.integers(90, 160, (count * photos, 32, 32, 3)).astype(np.uint8)
    for k, light in enumerate(varies[:, 4]):  # the background's light follows axis 4
        crops[k, :, :3] = crops[k, :, -3:] = int(np.clip(128 + 40 * light, 0, 255))
    seen = PhotographedFaces(
        known.astype(np.float32),
        draws.normal(size=(count * photos, STYLE)).astype(np.float32),
        crops,
        (20 * varies[:, 0]).astype(np.float32),
        (10 * varies[:, 1]).astype(np.float32),
        varies[:, 2] > 0,
        varies[:, 3] > 0,
        [str(k) for k in np.repeat(np.arange(count), photos)],
    )
    return seen, person


def test_portraits_read_as_wanted_and_keep_the_person() -> None:
    seen, person = people()
    made = fit(seen)
    codes = made(torch.from_numpy(seen.known))
    read = made.readings(codes)[:, :6]  # the backgrounds here are all equally rough: nothing to be read
    assert torch.allclose(read, made.targets[:6].expand(len(codes), -1), atol=1e-2)
    assert made.targets[:2].tolist() == [0.0, 0.0]
    moved = codes[:, :FEATURES].numpy()
    before, after = (np.abs(each[:, :2]).mean() for each in (seen.known, moved))
    assert after < 0.15 * before  # yaw and pitch
    assert moved[:, 2].mean() < -0.3  # no smile
    assert moved[:, 3].mean() > 0.3  # mouth closed
    assert np.abs(moved[:, 5:] - person[:, 5:]).mean() < 0.1  # who it is
    again = made(codes[:, :FEATURES])
    assert float((made.readings(again) - made.targets)[:, :6].abs().max()) < 1e-2


def test_what_is_kept_reads_as_before() -> None:
    seen, _ = people()
    seen.known[:, 5:7] += np.random.default_rng(1).normal(0, 0.5, seen.known[:, 5:7].shape).astype(np.float32)
    marks = (seen.known[:, 5:7] + 0.5 * seen.known[:, :1]) > 0  # read partly from what also turns the head
    free, held = fit(seen), fit(replace(seen, kept=marks))
    known = torch.from_numpy(seen.known)
    centred = seen.known - seen.known.mean(0)
    probe = np.linalg.lstsq(centred, np.where(marks, 1.0, -1.0), rcond=None)[0]
    drift = [np.abs((made(known)[:, :FEATURES].numpy() - seen.known) @ probe).mean() for made in (free, held)]
    assert drift[1] < 0.5 * drift[0]
    read = held.readings(held(known))[:, :6]
    assert torch.allclose(read, held.targets[:6].expand(len(read), -1), atol=1e-2)


def test_hats_are_taken_off_and_bare_heads_keep_the_person() -> None:
    seen, person = people()
    draws = np.random.default_rng(2)
    worn = draws.random(len(seen.known)) < 0.3  # in some of a person's photos
    seen.known[:, 5] += 3 * worn
    made = fit(replace(seen, hat=worn))
    codes = made(torch.from_numpy(seen.known))
    place = READINGS.index("Wearing Hat")
    assert torch.allclose(made.readings(codes)[:, place], torch.tensor(NeutralFitConfig().hat), atol=1e-2)
    moved = codes[:, 5].numpy()
    assert abs(moved[worn].mean() - moved[~worn].mean()) < 0.3  # 3 before
    assert np.abs(codes[:, 6:FEATURES].numpy() - person[:, 6:]).mean() < 0.15
    assert made.targets[place] == NeutralFitConfig().hat
    assert fit(seen).targets[place] == pytest.approx(-1.0, abs=1e-3)  # nobody wears one: nothing is to move


def test_what_makes_children_is_the_persons_too() -> None:
    seen, _ = people()
    seen.known[:, 7] *= 0.05  # childhood: those who are named have next to none
    draws = np.random.default_rng(3)
    children = draws.normal(size=(300, FEATURES)).astype(np.float32)
    children[:, 7] -= 2
    child = torch.zeros(1, FEATURES)
    child[0, 7] = -2.0
    kept = [
        float((made.person(child) - made.person(0 * child))[0, 7])
        for made in (fit(seen), fit(replace(seen, children=children)))
    ]
    assert abs(kept[0]) < 0.2
    assert kept[1] < -1.2


def test_differences_are_within_a_person_and_those_often_photographed_count_less() -> None:
    codes = np.array([[1.0, 0], [3, 0], [5, 9], [7, 9], [0, 100]], np.float32)
    rows = within_people(codes, ["a", "a", "b", "b", None])
    assert rows.shape == (4, 2)
    assert np.abs(rows[:, 1]).max() == 0  # what differs between people only is no difference
    weight = {}
    for count in (2, 6, 60):
        many = np.arange(count, dtype=np.float32)[:, None] % 2
        weight[count] = float((within_people(many, ["x"] * count) ** 2).sum())
    assert weight[60] == pytest.approx(weight[6], rel=0.2)
    with pytest.raises(DatasetError, match="photographed twice"):
        within_people(codes, ["a", "b", "c", None, None])


def test_light_is_read_from_the_sides_and_the_halves_of_the_face() -> None:
    crops = np.full((2, 64, 64, 3), 128, np.uint8)
    crops[0, :, :32] = 148
    crops[1, :30, :7] = crops[1, :30, -7:] = 228
    sidelight, light, roughness = light_readings(crops).T
    assert sidelight.tolist() == pytest.approx([1.0, 0.0])
    assert light[1] > 2.2 > light[0]
    assert roughness[0] > 0


def test_fitting_needs_neutral_faces() -> None:
    seen, _ = people(20)
    with pytest.raises(DatasetError, match="Mouth Closed"):
        fit(PhotographedFaces(seen.known, seen.style, seen.crops, seen.yaw_degrees, seen.pitch_degrees,
                 np.ones_like(seen.smiling), seen.mouth_closed, seen.people))  # fmt: skip


def tiny() -> tuple[Decoder, Neutraliser]:
    torch.manual_seed(0)
    neutraliser = Neutraliser(NeutralConfig(features=FEATURES, style=STYLE))
    for value in neutraliser.buffers():
        value.copy_(torch.randn(value.shape, generator=torch.Generator().manual_seed(1)) / 3)
    return Decoder(DECODER), neutraliser


def test_weights_come_back_and_draw_the_same(tmp_path: Path) -> None:
    decoder, neutraliser = tiny()
    export(tmp_path / "w.safetensors", neutraliser, decoder, {"data": "x"}, with_decoder=True)
    loaded = MienPortrait.load(tmp_path / "w.safetensors")
    features = torch.randn(11, FEATURES, generator=torch.Generator().manual_seed(2))
    drawn = loaded.draw(features)
    assert drawn.shape == (11, 3, loaded.size_px, loaded.size_px)
    direct = MienPortrait(decoder, neutraliser, "x").draw(features)
    assert (drawn - direct).abs().max() <= 1 / 127.5
    assert (loaded.draw(features[9:10])[0] - drawn[9]).abs().max() <= 1 / 127.5
    assert loaded.draw(features[:0]).shape[0] == 0


def test_a_slim_file_wants_the_decoder_that_it_was_fitted_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, neutraliser = tiny()
    crowd = tmp_path / "crowd.safetensors"
    monkeypatch.setattr(default, "PACKAGED_CROWD", crowd)
    about = {"model": "crowd-mien", "version": "1"}
    save_weights(crowd, {f"decoder.{k}": v for k, v in decoder.state_dict().items()}, about, dtype=torch.float16)
    export(tmp_path / "w.safetensors", neutraliser, decoder, {}, with_decoder=False)
    assert (tmp_path / "w.safetensors").stat().st_size < crowd.stat().st_size
    MienPortrait.load(tmp_path / "w.safetensors")
    other, _ = Decoder(DECODER), None
    save_weights(crowd, {f"decoder.{k}": v for k, v in other.state_dict().items()}, about, dtype=torch.float16)
    with pytest.raises(WeightsError, match="fitted to another decoder"):
        MienPortrait.load(tmp_path / "w.safetensors")


def test_digests_tell_networks_apart() -> None:
    decoder, _ = tiny()
    same = {name: value.clone().half().float() for name, value in decoder.state_dict().items()}
    assert digest(decoder.state_dict()) == digest(same)
    same["start.bias"] = same["start.bias"] + 1
    assert digest(decoder.state_dict()) != digest(same)


def test_other_moves_are_another_version(tmp_path: Path) -> None:
    decoder, neutraliser = tiny()
    versions = []
    for _ in range(2):
        export(tmp_path / "w.safetensors", neutraliser, decoder, {}, with_decoder=True)
        versions.append(MienPortrait.load(tmp_path / "w.safetensors").version)
        neutraliser.moves[0, 0] += 0.5
    assert versions[0] != versions[1]


def test_wrong_features_are_named() -> None:
    with pytest.raises(RequestError, match="wanted N 12"):
        tiny()[1](torch.zeros(2, 5))
    assert len(READINGS) == 8
    assert NeutralFitConfig().penalty > 0


def drawn_person(size: int, background: int) -> tuple[np.ndarray, np.ndarray]:
    """A head and shoulders on a light ground, and its true mask."""
    truth = np.zeros((size, size), np.uint8)
    cv2.ellipse(truth, (size // 2, int(0.48 * size)), (int(0.30 * size), int(0.40 * size)), 0, 0, 360, 1, -1)
    truth[int(0.84 * size) :, int(0.15 * size) : int(0.85 * size)] = 1
    photo = np.full((size, size, 3), background, np.uint8)
    photo[truth == 1] = (150, 105, 85)
    cv2.ellipse(photo, (size // 2, int(0.2 * size)), (int(0.28 * size), int(0.12 * size)), 0, 0, 360, (60, 40, 30), -1)
    noise = np.random.default_rng(0).integers(-6, 7, photo.shape)
    return np.clip(photo + noise, 0, 255).astype(np.uint8), truth


@pytest.mark.parametrize(("size", "background"), [(128, 235), (256, 215)])
def test_the_mask_is_the_person_soft_at_the_edge(size: int, background: int) -> None:
    photo, truth = drawn_person(size, background)
    mask = person_mask(photo)
    assert mask.dtype == np.float32
    assert mask.shape == (size, size)
    assert 0 <= float(mask.min()) <= float(mask.max()) <= 1
    overlap = ((mask > 0.5) & (truth == 1)).sum() / ((mask > 0.5) | (truth == 1)).sum()
    assert overlap > 0.93
    assert ((mask > 0.1) & (mask < 0.9)).any()
    assert np.array_equal(mask, person_mask(photo))


@pytest.mark.parametrize("shade", [0, 40])
def test_shoulders_and_long_hair_are_of_the_person_before_an_uneven_background(shade: int) -> None:
    size = 128
    photo, truth = drawn_person(size, 235)
    photo[truth == 0] = 235
    hair, suit = np.zeros_like(truth), np.zeros_like(truth)
    hair[int(0.3 * size) : int(0.85 * size), int(0.14 * size) : int(0.86 * size)] = 1
    cv2.ellipse(suit, (size // 2, size), (int(0.52 * size), int(0.22 * size)), 0, 180, 360, 1, -1)
    photo[(hair == 1) & (truth == 0)] = (70, 50, 35)
    photo[(suit == 1) & (truth == 0)] = (25, 30, 45)
    whole = (truth == 1) | (hair == 1) | (suit == 1)
    darker = np.linspace(0, shade, size)[None, :, None]  # from the left to the right
    grain = np.random.default_rng(0).integers(-6, 7, photo.shape)
    photo = np.clip(np.where(whole[..., None], photo, photo - darker) + grain, 0, 255).astype(np.uint8)
    mask = person_mask(photo) > 0.5
    assert (mask & whole).sum() / (mask | whole).sum() > 0.95
    assert mask[int(0.97 * size), [int(0.06 * size), int(0.94 * size)]].all()  # both shoulders


@given(value=st.integers(0, 255), share=st.floats(0, 1))
def test_a_person_lies_over_any_colour(value: int, share: float) -> None:
    portrait = np.full((4, 4, 3), value, np.uint8)
    mask = np.full((4, 4), share, np.float32)
    laid = over(portrait, mask, (255, 0, 10))
    expected = [value * share + 255 * (1 - share), value * share, value * share + 10 * (1 - share)]
    assert np.abs(laid[0, 0].astype(float) - expected).max() <= 0.51
    assert cut_out(portrait, mask).shape == (4, 4, 4)


def test_a_network_is_built_of_its_weights_alone() -> None:
    """Nothing is drawn, nothing copied, and what does not fit is told."""
    decoder, _ = tiny()
    values = {name: value.half() for name, value in decoder.state_dict().items()}
    before = torch.get_rng_state()
    again = built(lambda: Decoder(DECODER), values, name="x")
    assert torch.equal(before, torch.get_rng_state())
    for name, value in again.state_dict().items():
        assert value.dtype == decoder.state_dict()[name].dtype
        assert torch.equal(value, values[name].to(value.dtype))
    values.pop("start.bias")
    with pytest.raises(WeightsError, match=r"x: missing tensors \['start.bias'\]"):
        built(lambda: Decoder(DECODER), values, name="x")
