"""The age and sex judge: what it reads, how it is trained, and (the packaged one) how good it is."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.attributes import age_sex
from mien.attributes.age_sex import AGES, AgeSexJudge, AgeSexNet, expected_age, judge_window
from mien.core.checkpoints import save_weights
from mien.core.errors import DatasetError, WeightsError
from mien.core.images import resize
from mien.training.age_sex import (
    STORED_SIDE,
    AgeSexConfig,
    age_targets,
    augment,
    batches,
    objective,
    shares,
    stored_window,
    train_judge,
)


def crops(count: int, seed: int = 0, size: int = 96) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def test_shapes_are_checked_at_the_door():
    network = AgeSexNet().eval()
    ages, sexes = network(torch.zeros(2, 3, 64, 64))
    assert ages.shape == (2, AGES)
    assert sexes.shape == (2,)
    assert network.features(torch.zeros(2, 3, 64, 64)).shape == (2, 144)
    with pytest.raises(ValueError, match="wanted N 3 64 64"):
        network(torch.zeros(2, 3, 60, 64))


def test_it_sees_the_inner_square_only():
    photos = torch.rand(1, 3, 100, 100)
    outside = photos.clone()
    outside[..., :23, :] = outside[..., :, :18] = outside[..., 87:, :] = outside[..., :, 82:] = 0
    torch.testing.assert_close(judge_window(photos), judge_window(outside))


def test_expected_age_of_a_sure_and_of_an_unsure_distribution():
    logits = torch.full((2, AGES), -30.0)
    logits[0, 37] = logits[1, 20] = logits[1, 40] = 30.0
    torch.testing.assert_close(expected_age(logits), torch.tensor([37.0, 30.0]))


@settings(deadline=None, max_examples=30)
@given(age=st.floats(2, 95))
def test_age_targets_are_distributions_around_the_age(age):
    target = age_targets(torch.tensor([age]), AgeSexConfig())
    assert float(target.sum()) == pytest.approx(1, abs=1e-5)
    assert abs(int(target.argmax()) - age) <= 0.51
    assert float(target.min()) >= 0


def test_judge_reads_back_what_was_saved_and_mirrors_cancel(tmp_path):
    torch.manual_seed(1)
    network = AgeSexNet().eval()
    path = tmp_path / "judge.safetensors"
    save_weights(path, network.state_dict(), {"model": age_sex.MODEL, "version": "test"}, dtype=torch.float16)
    judge = AgeSexJudge.load(str(path))
    photos = crops(5)
    seen = []
    found = judge.estimate(photos, batch_size=2, progress=seen.append)
    assert seen == [2, 2, 1]
    assert found.ages_years.shape == found.female.shape == (5,)
    assert found.features.shape == (5, 144)
    mirrored = judge.estimate(np.ascontiguousarray(photos[:, :, ::-1]))
    np.testing.assert_allclose(found.ages_years, mirrored.ages_years, atol=0.05)
    np.testing.assert_allclose(judge.estimate(photos[3:]).ages_years, found.ages_years[3:], atol=1e-3)
    save_weights(path, {"x": torch.zeros(1)}, {"model": "other", "version": "1"})
    with pytest.raises(WeightsError, match="weights of 'other'"):
        AgeSexJudge.load(str(path))


def test_rare_ages_and_unknown_ones_are_drawn_as_told():
    ages = np.r_[np.full(900, 26.0), np.full(100, 80.0), np.full(50, np.nan)]
    even, natural = shares(ages, 1.0), shares(ages, 0.0)
    assert even.sum() == pytest.approx(1)
    assert even[950] / even[0] == pytest.approx(9, rel=0.01)
    assert natural[950] == natural[0]
    assert natural[-1] == pytest.approx(natural[0] / 2)


def test_batches_are_pure_in_the_step():
    photos = stored_window(crops(6))
    assert photos.shape == (6, STORED_SIDE, STORED_SIDE, 3)
    batch_at = batches(photos, np.arange(6.0), np.array([0, 1, 0, 1, 0, np.nan]), AgeSexConfig(batch_size=4))
    torch.testing.assert_close(batch_at(7)["images"], batch_at(7)["images"])
    assert not torch.equal(batch_at(7)["images"], batch_at(8)["images"])
    with pytest.raises(DatasetError, match="6 crops, 5 ages"):
        batches(photos, np.arange(5.0), np.zeros(6), AgeSexConfig())


def test_views_keep_shape_and_range_and_come_from_the_generator():
    images = torch.rand(16, 3, STORED_SIDE, STORED_SIDE) * 2 - 1
    first = augment(images, torch.Generator().manual_seed(1))
    assert first.shape == (16, 3, 64, 64)
    assert float(first.abs().max()) <= 1
    torch.testing.assert_close(first, augment(images, torch.Generator().manual_seed(1)))
    assert not torch.equal(first, augment(images, torch.Generator().manual_seed(2)))


def test_unknown_labels_teach_nothing():
    network = AgeSexNet(dropout=0.0).eval()
    images = torch.rand(4, 3, STORED_SIDE, STORED_SIDE) * 2 - 1
    terms = objective(AgeSexConfig())

    def total(ages, female):
        batch = {"images": images, "ages": torch.tensor(ages), "female": torch.tensor(female)}
        return terms({"judge": network}, batch, torch.Generator().manual_seed(0), None)

    nan = float("nan")
    assert float(total([nan] * 4, [nan] * 4)["total"].detach()) == 0
    known = total([10.0, nan, nan, nan], [1.0, nan, nan, nan])
    assert float(known["age"].detach()) > 0
    assert float(known["sex"].detach()) > 0
    assert torch.isfinite(known["total"])


def test_training_learns_what_a_colour_says(tmp_path):
    random = np.random.default_rng(0)
    female = (random.random(64) < 0.5).astype(np.float32)
    photos = np.where(female[:, None, None, None] > 0.5, 220, 30) * np.ones((64, STORED_SIDE, STORED_SIDE, 3))
    config = AgeSexConfig(steps=30, batch_size=16, peak_rate=2e-3, ema_half_life_kimg=0.05, precision="fp32")
    outcome = train_judge(
        photos.astype(np.uint8), np.full(64, 30.0), female, tmp_path, config,
        threads=1, progress=False, tensorboard=False, checkpoint_minutes=None,
    )  # fmt: skip
    assert outcome.finished
    judge = AgeSexJudge(outcome.shown["judge"], {})
    faces = np.where(female[:8, None, None, None] > 0.5, 220, 30) * np.ones((8, 96, 96, 3))
    found = judge.estimate(faces.astype(np.uint8))
    np.testing.assert_array_equal(found.is_female, female[:8] > 0.5)


def test_packaged_judge_is_small_loads_and_has_its_card():
    folder = files("mien") / "weights"
    judge = AgeSexJudge.load()
    assert len((folder / "judge-age-sex.safetensors").read_bytes()) < 3_000_000
    card = (folder / "judge-age-sex.md").read_text()
    assert f"# Model card: judge-age-sex {judge.metadata['version']}" in card
    for word in ("UTKFace", "LFW", "mean absolute error", "must not be used", f"{judge.metadata['images_seen']:,}"):
        assert word in card


def test_packaged_judge_is_not_swayed_by_size_or_by_what_is_outside_the_inner_square():
    judge = AgeSexJudge.load()
    crops_px = np.asarray([resize(photo, 256, 256) for photo in crops(4, size=12)])  # soft blotches
    small = np.asarray([resize(photo, 128, 128) for photo in crops_px])
    big, little = judge.estimate(crops_px), judge.estimate(small)
    np.testing.assert_allclose(big.ages_years, little.ages_years, atol=4)
    framed = crops_px.copy()
    framed[:, :50] = framed[:, :, :40] = framed[:, 228:] = framed[:, :, 216:] = 0
    np.testing.assert_allclose(judge.estimate(framed).ages_years, big.ages_years, atol=0.01)
