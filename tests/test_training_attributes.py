"""The heads are trained: what is masked stays still, what is frozen stays frozen, and a resumed run is the same run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attributes_tiny import RECIPE, WIDTHS, TinyEncoder, tiny_crops, tiny_truths

from mien.attributes.features import concatenate, pooled_features
from mien.attributes.heads import AttributeHeads, HeadsConfig, slug
from mien.attributes.targets import STARTS, FaceLabels, group_targets
from mien.attributes.vocabulary import GROUPS
from mien.core.errors import RequestError
from mien.core.images import to_tensor
from mien.training.attributes import (
    AttributesConfig,
    batches,
    class_weights,
    epoch_steps,
    losses,
    masked_ages,
    masked_cross_entropy,
    train_attributes,
    validation_hook,
)
from mien.training.attributes_axes import solve_axes
from mien.training.attributes_layers import dropout_after, groups_by_layer, layers_from, layers_of
from mien.training.loop import LoopSettings, Outcome

TRUTHS = tiny_truths()


def config(**changes: Any) -> AttributesConfig:
    heads = {"recipe": tuple(each.name for each in RECIPE), "widths": WIDTHS, "dropout": 0.2}
    heads |= changes.pop("heads", {})
    return AttributesConfig.make({"heads": heads, "learning_rate": 1e-2, "schedule": "constant"} | changes)


def settings(steps: int, **more: Any) -> LoopSettings:
    usual = {"steps": steps, "batch_size": 8, "tensorboard": False, "progress": False, "checkpoint_minutes": None}
    return LoopSettings.make(usual | more)


SEEN = concatenate(pooled_features(TinyEncoder(), to_tensor(tiny_crops()), RECIPE), RECIPE).detach()


def seen() -> torch.Tensor:
    return SEEN


def cached(rows: np.ndarray, random: np.random.Generator) -> Mapping[str, torch.Tensor]:
    return {"features": seen()[torch.from_numpy(rows)]}


def images(rows: np.ndarray, random: np.random.Generator) -> Mapping[str, torch.Tensor]:
    return {"images": to_tensor(tiny_crops()[rows])}


def moments() -> tuple[torch.Tensor, torch.Tensor]:
    return seen().mean(0), seen().std(0)


def run(out: Path, steps: int, given: AttributesConfig, resume: bool = False, **more: Any) -> Outcome:
    encoder = more.pop("encoder", None)
    inputs = images if encoder is not None else cached
    return train_attributes(
        TRUTHS, inputs, out, given, settings(steps, **more), moments=moments(), encoder=encoder, resume=resume
    )


# The objective.


def test_a_head_is_not_trained_by_faces_whose_class_it_does_not_know() -> None:
    heads = AttributeHeads(config().heads).eval()
    marks = np.zeros((4, 73), np.float32)  # no mark anywhere: ethnicity, age, hair ... are unknown
    labels = FaceLabels(marks, np.full(4, np.nan, np.float32), np.full(4, np.nan, np.float32))
    batch = {
        "targets": torch.from_numpy(group_targets(labels)),
        "marks": torch.from_numpy(labels.attributes),
        "ages": torch.from_numpy(labels.ages_years),
    }
    losses(heads(torch.randn(4, 30)), batch, *class_weights(TRUTHS, 0.5), config())["total"].backward()
    for group in GROUPS:
        gradient = heads.heads[slug(group)].weight.grad
        assert gradient is not None
        untaught = group.none is None or group.name == "sex"
        assert (float(gradient.abs().sum()) == 0) == untaught, group.name
    assert heads.age.weight.grad is not None
    assert float(heads.age.weight.grad.abs().sum()) == 0


def test_the_cross_entropy_of_known_rows_is_that_of_the_book() -> None:
    logits, classes = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 1])
    targets = torch.nn.functional.one_hot(classes, 3).float()
    targets[4:] = torch.nan
    found = masked_cross_entropy(logits, targets, torch.ones(3))
    assert torch.allclose(found, torch.nn.functional.cross_entropy(logits[:4], classes[:4]))
    assert float(masked_cross_entropy(logits, torch.full_like(targets, torch.nan), torch.ones(3))) == 0


def test_ages_pull_toward_the_year() -> None:
    logits = torch.zeros(2, 101, requires_grad=True)
    masked_ages(logits, torch.tensor([30.0, torch.nan]), config(age_l1_weight=0.1)).backward()
    assert logits.grad is not None
    assert int(logits.grad[0].argmin()) == 30
    assert float(logits.grad[1].abs().sum()) == 0


def test_rare_classes_weigh_more_and_the_mean_over_faces_is_one() -> None:
    classes, pairs = class_weights(TRUTHS, 0.5)
    targets = np.nan_to_num(group_targets(TRUTHS))
    for place, (start, end) in enumerate(pairwise(STARTS)):
        counts, weights = targets[:, start:end].sum(0), classes[start:end].numpy()
        assert (counts * weights).sum() == pytest.approx(counts.sum(), rel=0.1), GROUPS[place].name
        order = np.argsort(np.maximum(counts, 1))
        assert (np.diff(weights[order]) <= 1e-5).all()
    assert bool((pairs[:, 1] > pairs[:, 0]).float().mean() > 0.9)  # marks are on 30 % of the faces
    flat, _ = class_weights(TRUTHS, 0.0)
    assert torch.allclose(flat, torch.ones_like(flat))


# The batches.


def test_every_face_is_dealt_once_an_epoch() -> None:
    given, loop = config(unmarked_share=0.25), settings(1)
    steps = epoch_steps(TRUTHS, given, 8)
    assert steps == 3  # 18 faces with attributes, 6 a batch
    rows: list[np.ndarray] = []

    def watch(chosen: np.ndarray, random: np.random.Generator) -> Mapping[str, torch.Tensor]:
        rows.append(chosen)
        return {}

    batch_at = batches(TRUTHS, watch, given, loop)
    for step in range(steps):
        batch_at(step)
    dealt = np.concatenate([each[:6] for each in rows])
    assert sorted(dealt.tolist()) == list(range(18))
    assert all((each[6:] >= 18).all() for each in rows)  # a quarter has no attributes
    batch_at(1)
    assert np.array_equal(rows[-1], rows[1])


# The run.


def test_heads_learn_and_the_encoder_does_not(tmp_path: Path) -> None:
    hook = validation_hook(TRUTHS, cached, config(), None, every=60)
    outcome = train_attributes(
        TRUTHS, cached, tmp_path, config(), settings(60, log_every=20), moments=moments(), hooks=[hook]
    )
    lines = [json.loads(line) for line in (tmp_path / "logbook.jsonl").read_text().splitlines()]
    totals = [line["losses"]["attributes/total"] for line in lines if line["kind"] == "step"]
    assert outcome.finished
    assert "encoder" not in outcome.shown
    assert totals[-1] < 0.8 * totals[0]
    measured = [line["values"] for line in lines if line["kind"] == "measure"]
    assert set(measured[0]) == {"groups", "sex", "marks", "age", "total"}


@pytest.mark.parametrize("through", [False, True])
def test_a_run_that_was_stopped_is_the_run_that_was_not(tmp_path: Path, through: bool) -> None:
    given = config(unfreeze_from="second", encoder_dropout=0.3) if through else config(ema_half_life_kimg=0.05)

    def encoder() -> Any:
        return TinyEncoder() if through else None

    whole = run(tmp_path / "a", 6, given, encoder=encoder())
    run(tmp_path / "b", 6, given, encoder=encoder(), minutes=1e-9)
    resumed = run(tmp_path / "b", 6, given, resume=True, encoder=encoder())
    assert whole.finished
    assert resumed.finished
    for name in whole.shown:
        for key, value in whole.shown[name].state_dict().items():
            assert torch.equal(value, resumed.shown[name].state_dict()[key]), f"{name} {key}"


def test_only_the_layers_from_the_named_one_on_learn(tmp_path: Path) -> None:
    encoder = TinyEncoder()
    before = {name: value.clone() for name, value in encoder.network.state_dict().items()}
    run(tmp_path, 3, config(unfreeze_from="second"), encoder=encoder)
    for name, value in encoder.network.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("first"), name


def test_layers_are_counted_from_the_heads_down() -> None:
    encoder = TinyEncoder()
    assert [name for name, _ in layers_of(encoder)] == ["first", "second", "third"]
    layers = layers_from(encoder, "second", RECIPE)
    assert [name for name, _ in layers] == ["second", "third"]
    assert [name for name, _ in layers_from(encoder, "first", RECIPE[1:])] == ["first", "second"]  # `third` is unseen
    assert [group["lr_scale"] for group in groups_by_layer(layers, 0.5, 1.0)] == [0.25, 0.5]
    with pytest.raises(RequestError, match="'fourth' given; layers of tiny: first, second, third"):
        layers_from(encoder, "fourth", RECIPE)
    with pytest.raises(RequestError, match="no layer of tiny"):
        layers_from(encoder, "pool", RECIPE)
    with pytest.raises(RequestError, match="cached features hold no layer"):
        run(Path("unused"), 1, config(unfreeze_from="second"))


def test_dropout_follows_the_unfrozen_layers_while_they_train() -> None:
    encoder, crops = TinyEncoder(), to_tensor(tiny_crops(2))
    plain = encoder(crops, ["second", "third"])
    with dropout_after(encoder, ["third"], 0.5):
        encoder.network.train()
        torch.manual_seed(1)
        dropped = encoder(crops, ["second", "third"])
        encoder.network.eval()
        assert torch.equal(encoder(crops, ["third"])["third"], plain["third"])
    assert torch.equal(dropped["second"], plain["second"])
    assert not torch.equal(dropped["third"], plain["third"])
    encoder.network.train()
    assert torch.equal(encoder(crops, ["third"])["third"], plain["third"])


# The solved trunk.


def logistic(kernel: torch.Tensor, sign: torch.Tensor, penalty: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Kernel logistic regression of one mark by plain gradient steps: slow and sure."""
    alpha, bias = torch.zeros(len(sign)), torch.zeros(())
    for _ in range(4000):
        pull = torch.sigmoid(-sign * (kernel @ alpha + bias)) * sign
        alpha, bias = alpha + 0.2 * (pull - penalty * alpha), bias + 0.2 * pull.mean()
    return alpha, bias


def test_axes_are_logistic_regressions_and_know_what_they_would_say_of_strangers() -> None:
    random = np.random.default_rng(5)
    features = random.normal(size=(40, 30)).astype(np.float16)
    marks = (features[:, :3].astype(np.float32) + random.normal(0, 1, (40, 3)) > 0.4).astype(np.float32)
    heads = AttributeHeads(HeadsConfig(recipe=("window-pool-1x1", "crop-second-2x2"), widths=WIDTHS, trunk=3))
    x = torch.from_numpy(features).float()
    heads.standardise(x.mean(0), x.std(0))
    axes = solve_axes(heads, features, marks, ridge=2.0, steps=60)
    scale = torch.cat([torch.full((width,), (0.5 / width) ** 0.5) for width in WIDTHS])
    z, sign = heads.standard(x) * scale, torch.from_numpy(marks[:, 0] * 2 - 1)
    kernel = z @ z.T
    alpha, bias = logistic(kernel, sign, 0.5)
    said = (heads.standard(x) @ axes.weight.T + axes.bias)[:, 0]
    assert torch.allclose(said, kernel @ alpha + bias, atol=0.05)

    strangers = []
    for k in range(40):
        rest = torch.arange(40) != k
        alpha, bias = logistic(kernel[rest][:, rest], sign[rest], 0.5)
        strangers.append(kernel[k, rest] @ alpha + bias)
    expected = torch.stack(strangers)
    off, known = (axes.left_out[:, 0] - expected).abs().mean(), (said - expected).abs().mean()
    assert float(off) < 0.25 * float(known)


def test_a_solved_trunk_learns_no_more(tmp_path: Path) -> None:
    given = config(ridge=1.0, heads={"trunk": 73, "who": "window-pool-1x1", "who_width": 4})
    heads = AttributeHeads(given.heads)
    heads.standardise(*moments())
    features = seen().numpy().astype(np.float16)
    marked = TRUTHS.marked
    axes = solve_axes(heads, features[marked], TRUTHS.attributes[marked], ridge=1.0)
    left_out = torch.zeros(len(TRUTHS), 73)
    left_out[torch.from_numpy(marked)] = axes.left_out

    def inputs(rows: np.ndarray, random: np.random.Generator) -> Mapping[str, torch.Tensor]:
        return {"axes": left_out[torch.from_numpy(rows)], "who": seen()[torch.from_numpy(rows), :6]}

    outcome = train_attributes(TRUTHS, inputs, tmp_path, given, settings(5), moments=moments(), axes=axes)
    trained = outcome.shown["heads"]
    assert isinstance(trained, AttributeHeads)
    assert trained.trunk is not None
    assert torch.equal(trained.trunk.weight, axes.weight)
    assert not torch.equal(trained.age.weight, heads.age.weight)
