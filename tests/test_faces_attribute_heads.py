"""The heads, what they are taught, what they see, and how they travel."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from attributes_tiny import RECIPE, WIDTHS, TinyEncoder, tiny_crops, tiny_truths
from hypothesis import given
from hypothesis import strategies as st

from mien.attributes import reader as reader_module
from mien.attributes.calibration import Calibration
from mien.attributes.features import FeatureSpec, concatenate, pooled_features, read_features, regions
from mien.attributes.heads import AttributeHeads, HeadsConfig, slug
from mien.attributes.packing import dequantise_trunk, pack, quantise_trunk
from mien.attributes.reader import AttributeReader
from mien.attributes.targets import STARTS, FaceLabels, group_classes, group_targets
from mien.attributes.vocabulary import GROUPS, NAMES
from mien.core.checkpoints import save_weights
from mien.core.errors import RequestError, WeightsError
from mien.core.images import to_tensor

NAMES_OF_RECIPE = tuple(each.name for each in RECIPE)


def config(**changes: object) -> HeadsConfig:
    values = {"recipe": NAMES_OF_RECIPE, "widths": WIDTHS, "trunk": 8, "who": "window-pool-1x1", "who_width": 5}
    return HeadsConfig.make(values | changes)


def group(name: str) -> int:
    return next(k for k, each in enumerate(GROUPS) if each.name == name)


# What is taught.


def one(marked: tuple[str, ...], female: float = float("nan")) -> FaceLabels:
    marks = np.array([[float(name in marked) for name in NAMES]], np.float32)
    return FaceLabels(marks, np.array([female], np.float32), np.array([np.nan], np.float32))


def target(labels: FaceLabels, name: str) -> list[float]:
    place = group(name)
    return group_targets(labels)[0, STARTS[place] : STARTS[place + 1]].tolist()


def test_two_marks_in_a_group_share_and_no_mark_is_none_or_unknown() -> None:
    labels = one(("Curly Hair", "Wavy Hair", "Smiling"))
    assert target(labels, "hair texture") == [0.5, 0.5, 0.0]
    assert target(labels, "expression") == [1.0, 0.0, 0.0]
    assert target(labels, "nose") == [0.0, 0.0, 1.0]  # "ordinary nose" is a class
    assert np.isnan(target(labels, "hair")).all()  # every face has a hair colour: unmarked is unknown
    assert group_classes(labels, group("hair texture")).tolist() == [-1]
    assert group_classes(labels, group("expression")).tolist() == [0]


def test_sex_is_taught_by_the_sex_of_the_labels_alone() -> None:
    assert target(one(("Male",), female=1.0), "sex") == [0.0, 1.0]
    assert np.isnan(target(one(("Male",)), "sex")).all()
    assert np.isnan(target(one(()), "sex")).all()  # not marked Male is "female or unsure"


@given(st.integers(0, 2**32 - 1))
def test_every_known_target_is_a_distribution(seed: int) -> None:
    targets = group_targets(tiny_truths(8, seed, unmarked=2))
    for start, end in itertools.pairwise(STARTS):
        part = targets[:, start:end]
        known = ~np.isnan(part).any(1)
        assert np.isnan(part[~known]).all()
        assert np.allclose(part[known].sum(1), 1)


# What is seen.


def test_regions_are_the_means_of_equal_parts() -> None:
    activations = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).view(2, 3, 4, 4)
    four = regions(activations, 2).view(2, 3, 2, 2)
    assert torch.equal(four[:, :, 0, 1], activations[:, :, :2, 2:].mean((2, 3)))
    assert torch.allclose(regions(activations, 1), activations.mean((2, 3)))
    with pytest.raises(ValueError, match="no 2 x 2 regions"):
        regions(torch.zeros(2, 3), 2)


def test_a_look_goes_by_its_name() -> None:
    for each in RECIPE:
        assert FeatureSpec.of(each.name) == each
    for name in ("crop-block17", "sky-pool-1x1", "crop-pool-2x3", "crop-pool-0x0"):
        with pytest.raises(WeightsError, match="names no look"):
            FeatureSpec.of(name)


def test_a_recipe_lies_side_by_side_and_is_differentiable() -> None:
    encoder, crops = TinyEncoder(), to_tensor(tiny_crops(2)).requires_grad_()
    seen = pooled_features(encoder, crops, RECIPE)
    both = concatenate(seen, RECIPE)
    assert both.shape == (2, sum(WIDTHS))
    assert torch.equal(both[:, :6], seen["window-pool-1x1"])
    both.sum().backward()
    assert crops.grad is not None
    assert float(crops.grad.abs().sum()) > 0


def test_a_face_and_its_mirror_image_look_alike_together() -> None:
    encoder, crops = TinyEncoder(), to_tensor(tiny_crops(3))
    both = read_features(encoder, crops, RECIPE, mirrored=True)
    assert torch.allclose(both, read_features(encoder, crops.flip(3), RECIPE, mirrored=True), atol=1e-6)
    sides = [read_features(encoder, each, RECIPE) for each in (crops, crops.flip(3))]
    assert torch.allclose(both, (sides[0] + sides[1]) / 2, atol=1e-6)
    assert not torch.allclose(sides[0], sides[1], atol=1e-3)


# The heads.


def test_there_are_42_softmaxes_and_73_marks_and_a_distribution_of_ages() -> None:
    heads = AttributeHeads(config()).eval()
    answers = heads(torch.randn(3, sum(WIDTHS)))
    assert [tuple(each.shape) for each in answers.groups] == [(3, len(each.classes)) for each in GROUPS]
    assert len(answers.groups) == 42
    assert answers.scores().shape == (3, 73)
    assert answers.age.shape == (3, 101)
    assert len({slug(each) for each in GROUPS}) == 42
    with pytest.raises(ValueError, match="wanted N 30"):
        heads(torch.randn(3, 7))


def test_without_marks_the_softmaxes_answer_for_them() -> None:
    heads = AttributeHeads(config(marks=False, trunk=0, who=None)).eval()
    answers = heads(torch.randn(4, sum(WIDTHS)))
    place = group("eyewear")
    chance = answers.groups[place].softmax(1)[:, GROUPS[place].members.index("Sunglasses")]
    assert torch.allclose(answers.scores()[:, NAMES.index("Sunglasses")].sigmoid(), chance, atol=1e-5)


def test_sex_and_age_read_their_own_look_only() -> None:
    heads = AttributeHeads(config()).eval()
    first = torch.randn(2, sum(WIDTHS))
    second = torch.cat([first[:, :6], torch.randn(2, 24)], 1)
    a, b = heads(first), heads(second)
    assert torch.equal(a.age, b.age)
    assert torch.equal(a.groups[group("sex")], b.groups[group("sex")])
    assert not torch.equal(a.groups[group("hair")], b.groups[group("hair")])


def test_features_are_standardised_and_dead_ones_stay_dead() -> None:
    heads = AttributeHeads(config())
    mean, deviation = torch.full((30,), 2.0), torch.full((30,), 4.0)
    deviation[3] = 0
    heads.standardise(mean, deviation)
    x = heads.standard(torch.full((1, 30), 10.0))
    assert float(x[0, 0]) == 2.0
    assert float(x[0, 3]) == 0.0
    assert float(heads.standard(torch.full((1, 30), 1e6)).max()) == 6.0


# The file.


def saved(path: Path, encoder: str = "tiny", **changes: object) -> AttributeHeads:
    torch.manual_seed(4)
    heads = AttributeHeads(config(**changes))
    heads.standardise(torch.randn(30), torch.rand(30) + 0.5)
    about = {"model": "attributes", "version": "t", "encoder": encoder, "heads": heads.config.model_dump()}
    save_weights(path, pack(heads, Calibration.none(73, 42)), about)
    return heads


def test_heads_come_back_from_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "load_encoder", lambda name: TinyEncoder())
    heads = saved(tmp_path / "w.safetensors").eval()
    reader = AttributeReader.load(tmp_path / "w.safetensors", encoder="tiny")
    features = torch.randn(5, 30)
    assert torch.allclose(heads(features).scores(), reader.heads(features).scores(), atol=0.02)

    crops = tiny_crops(5)
    readings = reader.read(crops)
    assert readings.probabilities.shape == (5, 73)
    assert readings.present.dtype == np.bool_
    assert list(readings.groups) == [each.name for each in GROUPS]
    assert all(np.allclose(values.sum(1), 1, atol=1e-5) for values in readings.groups.values())
    assert ((readings.female >= 0) & (readings.female <= 1)).all()
    assert (readings.age_years >= 0).all()
    # One by one as together; nothing of nothing.
    alone = np.concatenate([reader.read(crops[k : k + 1]).probabilities for k in range(5)])
    assert np.allclose(alone, readings.probabilities, atol=1e-5)
    assert len(reader.read(crops[:0])) == 0
    with pytest.raises(ValueError, match="wanted N S S 3 uint8"):
        reader.read(crops.astype(np.float32))


def test_mirrored_reading_does_not_know_left_from_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "load_encoder", lambda name: TinyEncoder())
    saved(tmp_path / "w.safetensors")
    reader = AttributeReader.load(tmp_path / "w.safetensors", encoder="tiny")
    crops = tiny_crops(3)
    flipped = np.ascontiguousarray(crops[:, :, ::-1])
    both = [reader.read(each, mirrored=True).probabilities for each in (crops, flipped)]
    assert np.allclose(both[0], both[1], atol=1e-5)
    assert not np.allclose(reader.read(crops).probabilities, reader.read(flipped).probabilities, atol=1e-5)
    # Heads that were calibrated on both are read with both, unless told otherwise.
    saved(tmp_path / "both.safetensors", mirrored=True)
    usual = AttributeReader.load(tmp_path / "both.safetensors", encoder="tiny")
    assert np.array_equal(usual.read(crops).probabilities, both[0])
    assert np.array_equal(usual.read(crops, mirrored=False).probabilities, reader.read(crops).probabilities)


def test_heads_are_not_put_on_another_encoder(tmp_path: Path) -> None:
    saved(tmp_path / "w.safetensors", encoder="facenet")
    with pytest.raises(RequestError, match="'vgg-face' given, these heads read 'facenet'"):
        AttributeReader.load(tmp_path / "w.safetensors", encoder="vgg-face")


def test_fine_tuned_layers_travel_with_the_heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = TinyEncoder()
    third = encoder.network.get_submodule("third")
    with torch.no_grad():
        for parameter in third.parameters():
            parameter.requires_grad_(True).fill_(0.25)
    heads = AttributeHeads(config())
    tensors = pack(heads, Calibration.none(73, 42), encoder, "third")
    assert sorted(name for name in tensors if name.startswith("encoder.")) == [
        "encoder.third.bias",
        "encoder.third.weight",
    ]
    about = {"model": "attributes", "version": "t", "encoder": "tiny", "heads": heads.config.model_dump()}
    save_weights(tmp_path / "w.safetensors", tensors, about)
    monkeypatch.setattr(reader_module, "load_encoder", lambda name: TinyEncoder())
    found = AttributeReader.load(tmp_path / "w.safetensors", encoder="tiny")
    weight = found.encoder.network.get_submodule("third").weight
    assert torch.equal(weight, torch.full_like(weight, 0.25))


def test_a_file_without_calibration_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "load_encoder", lambda name: TinyEncoder())
    heads = AttributeHeads(config())
    tensors = {k: v for k, v in pack(heads, Calibration.none(73, 42)).items() if not k.startswith("calibration")}
    about = {"model": "attributes", "version": "t", "encoder": "tiny", "heads": heads.config.model_dump()}
    save_weights(tmp_path / "w.safetensors", tensors, about)
    with pytest.raises(WeightsError, match="no calibration"):
        AttributeReader.load(tmp_path / "w.safetensors", encoder="tiny")


@given(st.integers(0, 2**31), st.floats(1e-6, 1e3))
def test_eight_bits_are_wrong_by_half_a_step_at_most(seed: int, size: float) -> None:
    weight = torch.randn(3, 9, generator=torch.Generator().manual_seed(seed)) * size
    whole, steps = quantise_trunk(weight, (4, 5))
    assert whole.dtype == torch.int8
    assert steps.shape == (3, 2)
    error = (dequantise_trunk(whole, steps, (4, 5)) - weight).abs()
    allowed = torch.cat([steps[:, :1].expand(3, 4), steps[:, 1:].expand(3, 5)], 1) * 0.501
    assert bool((error <= allowed).all())
    with pytest.raises(WeightsError, match="does not fit"):
        dequantise_trunk(whole, steps, (4, 4))
