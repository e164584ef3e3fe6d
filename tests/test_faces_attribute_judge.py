"""The judge of attributes and race: what it reads, how marks become targets, and how it is trained."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.attributes import GROUP_OF, NAMES, attribute_judge
from mien.attributes.age_sex import AgeSexNet
from mien.attributes.attribute_judge import LABELS, RACES, SIDE, AttributeJudge, AttributeNet, marks
from mien.core.checkpoints import save_weights
from mien.core.errors import DatasetError, WeightsError
from mien.training.attribute_judge import (
    STORED_SIDE,
    AttributeJudgeConfig,
    augment,
    batches,
    ethnicity_marks,
    objective,
    race_marks,
    stored_crop,
    thresholds_of,
    train_judge,
    weights_of,
)

SMILING, HAT = NAMES.index("Smiling"), NAMES.index("Wearing Hat")


def crops(count: int, seed: int = 0, size: int = 96) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def test_shapes_are_checked_at_the_door():
    network = AttributeNet().eval()
    assert network(torch.zeros(2, 3, SIDE, SIDE)).shape == (2, LABELS)
    with pytest.raises(ValueError, match="wanted N 3 80 80"):
        network(torch.zeros(2, 3, 64, 64))


def test_a_label_sees_only_the_places_that_its_map_shows():
    network = AttributeNet().eval()
    with torch.no_grad():
        network.places[HAT, :5] = 50  # the top row
    network.requires_grad_(False)
    x = torch.rand(1, 3, SIDE, SIDE) * 2 - 1
    below = x.clone()
    below[:, :, 78:] = -below[:, :, 78:]  # far from the top row, and beyond what it can see of the crop
    before, after = network(x)[0], network(below)[0]
    assert float((before - after).abs().max()) > 1e-4
    top = network.blocks(torch.relu(network.stem_norm(network.stem(x)))).flatten(2)[0, :, :5].mean(1)
    torch.testing.assert_close(before[HAT], top @ network.weight[HAT], atol=1e-5, rtol=1e-4)


def test_kept_blocks_get_no_gradient_and_the_others_do():
    network = AttributeNet(kept=2)
    network(torch.rand(2, 3, SIDE, SIDE)).sum().backward()
    assert network.stem.weight.grad is None
    assert network.blocks[1].conv1.weight.grad is None
    assert float(network.blocks[2].conv1.weight.grad.abs().sum()) > 0


def test_marks_know_what_is_unknown():
    present = {"Smiling", "Black Hair", "No Beard"}
    values = dict(zip(NAMES, marks(present, set(NAMES) - present, None), strict=True))
    assert values["Smiling"] == values["Black Hair"] == 1
    assert values["Bald"] == values["Blond Hair"] == 0  # the hair is black
    assert values["Wearing Hat"] == 0  # "no hat" is a class of its own
    assert np.isnan(values["Mouth Closed"])  # every mouth is something, and nothing was said of it
    assert np.isnan(values["Male"])  # unsure
    assert marks(present, set(NAMES), "female")[NAMES.index("Male")] == 0


@settings(deadline=None, max_examples=40)
@given(st.sets(st.sampled_from(NAMES)))
def test_marks_never_contradict_what_was_said(present):
    values = marks(present, set(NAMES) - present, None)
    for name, value in zip(NAMES, values, strict=True):
        if name != "Male":
            assert (value == 1) == (name in present)
            unknown = GROUP_OF[name].none is None and not present & set(GROUP_OF[name].members)
            assert np.isnan(value) == unknown
    assert np.isnan(marks(set(), set(), None)).all()


def test_judge_reads_back_what_was_saved_and_mirrors_cancel(tmp_path):
    torch.manual_seed(1)
    path = tmp_path / "judge.safetensors"
    about = {"model": attribute_judge.MODEL, "version": "test", "thresholds": [0.4] * len(NAMES)}
    save_weights(path, AttributeNet().state_dict(), about, dtype=torch.float16)
    judge = AttributeJudge.load(str(path))
    photos, told = crops(5), []
    seen = judge.look(photos, batch_size=2, progress=told.append)
    assert told == [2, 2, 1]
    assert seen.scores.shape == seen.found.shape == (5, len(NAMES))
    np.testing.assert_array_equal(seen.found, seen.scores > np.float32(0.4))
    assert len(seen.races) == 5
    assert set(seen.races) <= set(RACES)
    mirrored = judge.look(np.ascontiguousarray(photos[:, :, ::-1]), races=False)
    np.testing.assert_allclose(seen.scores, mirrored.scores, atol=2e-3)
    assert mirrored.races == ("",) * 5
    np.testing.assert_array_equal(seen.of("Smiling"), seen.found[:, SMILING])
    save_weights(path, AttributeNet().state_dict(), about | {"thresholds": [0.5]})
    with pytest.raises(WeightsError, match="1 thresholds"):
        AttributeJudge.load(str(path))


def test_race_is_read_from_the_inner_square_only():
    torch.manual_seed(0)
    judge = AttributeJudge(AttributeNet(), {})
    photos = crops(8)
    framed = photos.copy()
    framed[:, :22] = framed[:, :, :17] = framed[:, 84:] = framed[:, :, 79:] = 0
    assert judge.look(photos).races == judge.look(framed).races
    assert not np.allclose(judge.look(photos).scores, judge.look(framed).scores, atol=1e-4)


def test_races_become_numbers_and_ethnicities():
    assert race_marks(("White", "", "Asian")).tolist() == [4, -1, 0]
    values = ethnicity_marks(("Black", "Other"))
    assert values[0, NAMES.index("Black")] == 1
    assert values[0, NAMES.index("Asian")] == 0
    assert np.isnan(values[0, SMILING])
    assert np.isnan(values[1]).all()


def test_batches_keep_the_shares_and_are_pure_in_the_step():
    photos = stored_crop(crops(20))
    assert photos.shape == (20, STORED_SIDE, STORED_SIDE, 3)
    whole = np.arange(20) < 8
    races = np.where(whole, -1, 2).astype(np.int64)
    labels = np.zeros((20, len(NAMES)), np.float32)
    batch_at = batches(photos, labels, races, whole, AttributeJudgeConfig(batch_size=8, greyed_share=0.0))
    batch = batch_at(3)
    assert batch["greyed"].tolist() == (batch["races"] >= 0).tolist() == [False] * 6 + [True] * 2
    torch.testing.assert_close(batch["images"], batch_at(3)["images"])
    assert not torch.equal(batch["images"], batch_at(4)["images"])
    with pytest.raises(DatasetError, match="no face with attributes"):
        batches(photos, labels, races, np.zeros(20, bool), AttributeJudgeConfig())


def test_greyed_views_hide_what_is_outside_the_inner_square():
    config = AttributeJudgeConfig(hidden_share=0.0, light=0.0)
    images = torch.rand(2, 3, STORED_SIDE, STORED_SIDE) * 0.2 + 0.8  # bright everywhere
    views = augment(images, torch.tensor([True, False]), config, torch.Generator().manual_seed(0))
    assert views.shape == (2, 3, SIDE, SIDE)
    assert float(views[0, :, :4].abs().mean()) < 0.1
    assert float(views[1, :, :4].mean()) > 0.6


def test_unknown_labels_teach_nothing_and_rare_ones_weigh_more():
    labels = np.zeros((100, len(NAMES)), np.float32)
    labels[:4, HAT] = 1
    weights = weights_of(labels, 0.5)
    assert weights[HAT] == pytest.approx((96 / 4) ** 0.5)
    assert weights[SMILING] == 8  # never present: as much as may be
    network = AttributeNet(dropout=0.0).eval()
    terms = objective(AttributeJudgeConfig(), weights)

    def total(attributes, races):
        batch = {
            "images": torch.rand(2, 3, STORED_SIDE, STORED_SIDE),
            "attributes": attributes,
            "races": torch.tensor(races),
            "greyed": torch.tensor([False, True]),
        }
        return terms({"judge": network}, batch, torch.Generator().manual_seed(0), None)

    nothing = torch.full((2, len(NAMES)), torch.nan)
    assert float(total(nothing, [-1, -1])["total"].detach()) == 0
    some = nothing.clone()
    some[0, HAT] = 1
    assert float(total(some, [-1, 3])["attributes"].detach()) > 0
    assert float(total(some, [-1, 3])["race"].detach()) > 0


def test_thresholds_part_what_can_be_parted():
    scores, labels = np.zeros((40, len(NAMES)), np.float32), np.full((40, len(NAMES)), np.nan, np.float32)
    scores[:, HAT], labels[:, HAT] = np.linspace(0, 1, 40), np.arange(40) >= 30
    found = thresholds_of(scores, labels)
    np.testing.assert_array_equal(scores[:, HAT] > found[HAT], labels[:, HAT] == 1)
    assert found[SMILING] == 0.5


def test_training_learns_what_a_colour_says_from_the_layers_of_another_judge(tmp_path):
    random = np.random.default_rng(0)
    smiling = random.random(64) < 0.5
    photos = np.where(smiling[:, None, None, None], 220, 30) * np.ones((64, STORED_SIDE, STORED_SIDE, 3))
    labels = np.full((64, len(NAMES)), np.nan, np.float32)
    labels[:, SMILING] = smiling
    config = AttributeJudgeConfig(
        steps=12, batch_size=8, peak_rate=5e-3, ema_half_life_kimg=0.005, precision="fp32", kept_blocks=1
    )
    torch.manual_seed(3)
    start = AgeSexNet().state_dict()
    outcome = train_judge(
        batches(photos.astype(np.uint8), labels, np.full(64, -1), np.ones(64, bool), config),
        weights_of(labels, 0.5), tmp_path, config, initial=start,
        threads=1, progress=False, tensorboard=False, checkpoint_minutes=None,
    )  # fmt: skip
    assert outcome.finished
    network = outcome.shown["judge"]
    torch.testing.assert_close(network.stem.weight, start["stem.weight"])
    assert not torch.allclose(network.blocks[1].conv1.weight, start["blocks.1.conv1.weight"])
    faces = np.where(smiling[:8, None, None, None], 220, 30) * np.ones((8, 96, 96, 3))
    seen = AttributeJudge(network, {}).look(faces.astype(np.uint8), races=False)
    scores = seen.scores[:, SMILING]
    assert scores[smiling[:8]].min() > scores[~smiling[:8]].max()  # how far apart is a matter of steps


def test_packaged_judge_is_small_loads_and_has_its_card():
    folder = files("mien") / "weights"
    judge = AttributeJudge.load()
    assert len((folder / "judge-attributes.safetensors").read_bytes()) < 2_500_000
    card = (folder / "judge-attributes.md").read_text()
    assert f"# Model card: judge-attributes {judge.metadata['version']}" in card
    for word in ("UTKFace", "LFW", "must not be used", f"{judge.metadata['images_seen']:,}"):
        assert word in card
    assert (judge.thresholds > 0).all()
    assert (judge.thresholds < 1).all()
