"""The second reader of sex: how its logit is summed, what it looks at, and that it may be absent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attributes_tiny import RECIPE, WIDTHS, TinyEncoder, tiny_crops
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mien.checkpoints import WEIGHTS, save_weights
from mien.errors import RequestError, WeightsError
from mien.faces import store
from mien.faces.attributes import second_reader as module
from mien.faces.attributes.calibration import Calibration
from mien.faces.attributes.heads import FEMALE, MALE, SEX, AttributeHeads, HeadsConfig
from mien.faces.attributes.reader import AttributeReader, RawReadings
from mien.faces.attributes.second_reader import (
    LOOKS,
    WIDTH,
    SecondReader,
    SexHead,
    SexHeadConfig,
    Sum,
    fit_sum,
    logit_of,
    second_looks,
)
from mien.faces.attributes.vocabulary import GROUPS
from mien.faces.dlib_resnet import DlibResNet
from mien.images import to_tensor

FIRST = "heads-1"


class TinyDlib(nn.Module):
    """Chips -> maps of the right shapes: brightness on the left and on the right half, as the rest goes."""

    def forward(self, chips: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        left, right = chips[..., :75].mean((1, 2, 3)), chips[..., 75:].mean((1, 2, 3))
        maps = {"level1": left[:, None, None, None].expand(-1, 256, 4, 4), "level0": right[:, None, None, None]}
        maps["level0"] = maps["level0"].expand(-1, 256, 2, 2)
        return {tap: maps[tap] for tap in taps}


def head(seed: int = 3) -> SexHead:
    torch.manual_seed(seed)
    made = SexHead(SexHeadConfig())
    made.standardise(torch.zeros(WIDTH), torch.full((WIDTH,), 0.2))
    return made.eval()


def second(first: str = FIRST, total: Sum | None = None) -> SecondReader:
    return SecondReader(TinyDlib(), head(), total or Sum(4.0, 0.5, 2.0), {"version": "s", "first": first})


def reader() -> AttributeReader:
    torch.manual_seed(4)
    config = HeadsConfig(recipe=tuple(look.name for look in RECIPE), widths=WIDTHS, who=RECIPE[0].name, who_width=4)
    about = {"version": FIRST, "encoder": "tiny"}
    return AttributeReader(TinyEncoder(), AttributeHeads(config), Calibration.none(73, 42), about)


def test_the_sum_by_hand() -> None:
    total = Sum(first_deviation=10.0, second_deviation=2.0, temperature=4.0)
    # (6 - 1 * 5) / 2 = 0.5; standardised: 0.6 - 0.5 = 0.1, and 0.1 * 10 / 2 is the same.
    assert total.logit([6.0], [-1.0]) == pytest.approx([0.5])
    assert total.female([6.0], [-1.0]) == pytest.approx([1 / (1 + np.exp(-0.125))])
    assert logit_of([[1.0, 4.0]]) == pytest.approx([3.0 if (MALE, FEMALE) == (0, 1) else -3.0])


@given(st.floats(-50, 50), st.floats(-50, 50), st.floats(0.1, 30), st.floats(0.1, 30), st.floats(0.2, 10))
def test_the_sum_has_the_sign_of_both_standardised(a: float, b: float, u: float, v: float, t: float) -> None:
    total = Sum(u, v, t)
    standard = a / u + b / v
    if abs(standard) > 1e-6:
        assert (total.female([a], [b])[0] > 0.5) == (standard > 0)
    assert total.female([a], [b])[0] + total.female([-a], [-b])[0] == pytest.approx(1)


@pytest.mark.parametrize("values", [(0.0, 1.0, 1.0), (1.0, -1.0, 1.0), (1.0, 1.0, float("nan"))])
def test_a_sum_that_is_none_is_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(WeightsError, match="wanted are numbers above 0"):
        Sum(*values)


def test_the_temperature_makes_honest_probabilities() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(0, 2, 20_000)  # log-odds
    female = random.random(len(truth)) < 1 / (1 + np.exp(-truth))
    total = fit_sum(5 * truth, 0.3 * truth, female)  # both say it too loudly or too softly
    assert (total.first_deviation, total.second_deviation) == pytest.approx((10, 0.6), rel=0.05)
    assert np.abs(total.female(5 * truth, 0.3 * truth) - 1 / (1 + np.exp(-truth))).max() < 0.02


def test_looks_are_the_last_maps_of_the_face_and_its_mirror_image() -> None:
    crops = torch.full((2, 3, 64, 64), -1.0)
    crops[1, ..., :32] = 1.0  # the left half is bright
    once = second_looks(TinyDlib(), crops, mirrored=False)
    both = second_looks(TinyDlib(), crops)
    assert once.shape == both.shape == (2, WIDTH) == (2, 4096 + 1024)
    assert once[1, 0] > 0.9 > -0.9 > once[1, -1]  # level1, then level0
    assert both[0] == pytest.approx(np.full(WIDTH, -1.0))
    assert torch.allclose(both[1], both[1, :1].expand(WIDTH), atol=0.02)
    assert list(LOOKS.values()) == [4096, 1024]


def test_a_head_wants_its_looks() -> None:
    with pytest.raises(ValueError, match="wanted N 5120"):
        head()(torch.zeros(1, 7))
    with pytest.raises(RequestError, match="2 looks, 1 inner widths"):
        SexHead(SexHeadConfig(inner=(3,)))


def test_two_readers_are_summed_and_nothing_else_changes() -> None:
    crops = tiny_crops(5)
    alone, total = reader(), Sum(4.0, 0.5, 2.0)
    both = alone.beside(second(total=total))
    one, two = alone.read(crops), both.read(crops)
    assert both.metadata["version"] == "heads-1+sex-dlib-s"
    assert alone.metadata["version"] == "heads-1"  # the reader itself stays as it was
    raw = alone._raw(crops, False)
    first = logit_of(raw.groups[GROUPS.index(SEX)])
    said = second().logits(to_tensor(crops))
    assert np.std(said) > 0
    assert two.female == pytest.approx(total.female(first, said), abs=1e-5)
    assert np.abs(two.female - one.female).max() > 1e-3
    assert np.allclose(two.groups["sex"].sum(1), 1, atol=1e-6)
    assert np.array_equal(two.groups["sex"][:, FEMALE], two.female)
    for name in (group.name for group in GROUPS if group is not SEX):
        assert np.array_equal(one.groups[name], two.groups[name])
    assert np.array_equal(one.probabilities, two.probabilities)
    assert np.array_equal(one.age_years, two.age_years)
    # One by one as together, and nothing of nothing.
    each = np.concatenate([both.read(crops[k : k + 1]).female for k in range(5)])
    assert each == pytest.approx(two.female, abs=1e-5)
    assert len(both.read(crops[:0])) == 0
    # What was read by the heads alone is calibrated so.
    assert np.array_equal(both.calibrated(raw).female, alone.calibrated(raw).female)


def test_parts_are_joined_with_their_second_opinion_or_without() -> None:
    raw = reader()._raw(tiny_crops(2), False)
    groups, ages = raw.groups, raw.age_years
    part = RawReadings(raw.scores, groups, ages, np.array([1.0, 2.0], np.float32))
    joined = RawReadings.joined([part, part])
    assert joined.second is not None
    assert joined.second.tolist() == [1, 2, 1, 2]
    assert RawReadings.joined([part, raw]).second is None


def test_other_heads_have_no_second_reader() -> None:
    with pytest.raises(RequestError, match="fitted beside the heads 'heads-2', not 'heads-1'"):
        reader().beside(second("heads-2"))
    alone = reader()
    assert alone.beside(None) is alone


def saved(path: Path, **changes: Any) -> SexHead:
    made = head()
    about = {"model": "sex-dlib", "version": "s", "first": FIRST, "head": made.config.model_dump(),
             "sum": {"first_deviation": 4.0, "second_deviation": 0.5, "temperature": 2.0}} | changes  # fmt: skip
    save_weights(path, made.state_dict(), about, dtype=torch.float16)
    return made


def test_the_head_comes_back_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = saved(tmp_path / "w.safetensors")
    monkeypatch.setattr(DlibResNet, "load", classmethod(lambda cls: TinyDlib()))
    found = SecondReader.load(tmp_path / "w.safetensors")
    looks = torch.randn(4, WIDTH)
    assert found.logits_of(looks) == pytest.approx(made(looks).detach().numpy(), abs=0.02)
    assert (found.first, found.version, found.sum) == (FIRST, "sex-dlib-s", Sum(4.0, 0.5, 2.0))
    saved(tmp_path / "w.safetensors", sum={"temperature": 1.0})
    with pytest.raises(WeightsError, match="does not say how its logit is summed"):
        SecondReader.load(tmp_path / "w.safetensors")


def test_without_dlib_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="mien models fetch dlib-resnet"):
        SecondReader.load()
    assert SecondReader.where_fetched("any") is None


def test_a_damaged_network_is_told_and_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    place = next(each.path for each in store.status() if each.model.name == "dlib-resnet")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"half of it")
    with pytest.raises(WeightsError, match=place.name):
        SecondReader.where_fetched("any")


def test_the_packaged_one_is_for_the_packaged_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.checkpoints import load_weights

    heads = load_weights(WEIGHTS / "attributes.safetensors", model="attributes", dtype=None)[1]
    monkeypatch.setattr(DlibResNet, "load", classmethod(lambda cls: TinyDlib()))
    monkeypatch.setattr(store, "weights_path", lambda name: Path(name))
    found = SecondReader.where_fetched(heads["version"])
    assert found is not None
    assert SecondReader.where_fetched("other heads") is None
    file, card = WEIGHTS / f"{module.MODEL}.safetensors", (WEIGHTS / f"{module.MODEL}.md").read_text()
    assert file.stat().st_size < 2_000_000
    assert f"# Model card: sex-dlib {found.metadata['version']}" in card
    assert f"`{heads['version']}`" in card
