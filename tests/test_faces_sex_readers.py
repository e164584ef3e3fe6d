"""The further readers of sex: how their logits are summed, what they look at, and that networks may be absent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attributes_tiny import RECIPE, WIDTHS, TinyEncoder, tiny_crops
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mien.attributes.calibration import Calibration
from mien.attributes.heads import FEMALE, MALE, SEX, AttributeHeads, HeadsConfig
from mien.attributes.reader import AttributeReader, RawReadings
from mien.attributes.sex_readers import (
    MODEL,
    SexHead,
    SexHeadConfig,
    SexReader,
    SexReaders,
    Sum,
    fit_sum,
    fit_sums,
    logit_of,
    merged,
    packed,
    unpacked,
)
from mien.attributes.sex_sights import DLIB, FACERES, SIGHTS, Sight, networks_of, sight_of
from mien.attributes.vocabulary import GROUPS
from mien.core.checkpoints import WEIGHTS, save_weights
from mien.core.errors import RequestError, WeightsError
from mien.core.images import to_tensor
from mien.faces.dlib_resnet import DlibResNet
from mien.pretrained import registry as store
from mien.pretrained.faceres import FaceRes

FIRST = "heads-1"


class TinyDlib(nn.Module):
    """Chips -> maps of the right shapes: brightness on the left and on the right half, as the rest goes."""

    def forward(self, chips: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        left, right = chips[..., :75].mean((1, 2, 3)), chips[..., 75:].mean((1, 2, 3))
        maps = {"level1": left[:, None, None, None].expand(-1, 256, 4, 4), "level0": right[:, None, None, None]}
        maps["level0"] = maps["level0"].expand(-1, 256, 2, 2)
        return {tap: maps[tap] for tap in taps}


class TinyFaceRes(nn.Module):
    """Windows -> maps of the right shape: brightness above and below."""

    def forward(self, windows: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        rows = nn.functional.adaptive_avg_pool2d(windows.mean(1, keepdim=True), 7)
        return {tap: {"maps": rows.expand(-1, 1024, 7, 7)}[tap] for tap in taps}


TINY = {"dlib-resnet": TinyDlib, "faceres": TinyFaceRes}


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that see brightness only, in place of the fetched ones."""
    monkeypatch.setattr(DlibResNet, "load", classmethod(lambda cls: TinyDlib()))
    monkeypatch.setattr(FaceRes, "load", classmethod(lambda cls: TinyFaceRes()))


def head(sight: Sight = DLIB, seed: int = 3) -> SexHead:
    torch.manual_seed(seed)
    made, width = SexHead(SexHeadConfig(widths=sight.widths, inner=sight.inner)), sum(sight.widths)
    made.standardise(torch.zeros(width), torch.full((width,), 0.2))
    return made.eval()


def others(first: str = FIRST, total: Sum | None = None, sights: Sequence[Sight] = SIGHTS) -> SexReaders:
    readers = [SexReader(sight, TINY[sight.network](), head(sight)) for sight in sights]
    total = total or Sum((4.0, 0.5, 0.7)[: len(sights) + 1], 2.0)
    return SexReaders(readers, total, {"version": "s", "first": first})


def reader() -> AttributeReader:
    torch.manual_seed(4)
    config = HeadsConfig(recipe=tuple(look.name for look in RECIPE), widths=WIDTHS, who=RECIPE[0].name, who_width=4)
    about = {"version": FIRST, "encoder": "tiny"}
    return AttributeReader(TinyEncoder(), AttributeHeads(config), Calibration.none(73, 42), about)


def test_the_sum_by_hand() -> None:
    total = Sum((10.0, 2.0, 5.0), temperature=4.0)
    # 6 / 10 - 1 / 2 + 1 / 5 = 0.3, of three, at the spread of the first: 1.
    assert total.logit([6.0], [[-1.0, 1.0]]) == pytest.approx([1.0])
    assert total.female([6.0], [[-1.0, 1.0]]) == pytest.approx([1 / (1 + np.exp(-0.25))])
    assert logit_of([[1.0, 4.0]]) == pytest.approx([3.0 if (MALE, FEMALE) == (0, 1) else -3.0])
    with pytest.raises(ValueError, match="2 logits a face, wanted 3"):
        total.logit([6.0], [[-1.0]])


logits, deviations = st.floats(-50, 50), st.floats(0.1, 30)


@given(st.lists(st.tuples(logits, deviations), min_size=2, max_size=4), st.floats(0.2, 10))
def test_the_sum_has_the_sign_of_all_standardised(said: list[tuple[float, float]], temperature: float) -> None:
    total = Sum(tuple(deviation for _, deviation in said), temperature)
    standard = sum(logit / deviation for logit, deviation in said)
    first, rest = np.array([said[0][0]]), np.array([[logit for logit, _ in said[1:]]])
    if abs(standard) > 1e-6:
        assert (total.female(first, rest)[0] > 0.5) == (standard > 0)
    assert total.female(first, rest)[0] + total.female(-first, -rest)[0] == pytest.approx(1)


@pytest.mark.parametrize("values", [((0.0, 1.0), 1.0), ((1.0, -1.0), 1.0), ((1.0, 1.0), float("nan")), ((1.0,), 1.0)])
def test_a_sum_that_is_none_is_refused(values: tuple[tuple[float, ...], float]) -> None:
    with pytest.raises(WeightsError, match="wanted are three numbers and more above 0"):
        Sum(*values)


def test_the_temperature_makes_honest_probabilities() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(0, 2, 20_000)  # log-odds
    female = random.random(len(truth)) < 1 / (1 + np.exp(-truth))
    said = np.stack([0.3 * truth, 7 * truth], 1)
    total = fit_sum(5 * truth, said, female)  # all say it too loudly or too softly
    assert total.deviations == pytest.approx((10, 0.6, 14), rel=0.05)
    assert np.abs(total.female(5 * truth, said) - 1 / (1 + np.exp(-truth))).max() < 0.02
    # One for every choice of networks, each as if the others had never been.
    sums = fit_sums(5 * truth, said, female, SIGHTS)
    assert list(sums) == ["dlib-resnet", "faceres", "dlib-resnet+faceres"]
    assert sums["dlib-resnet+faceres"].deviations == pytest.approx(total.deviations)
    one = fit_sum(5 * truth, said[:, 1:], female)
    assert (*sums["faceres"].deviations, sums["faceres"].temperature) == pytest.approx(
        (*one.deviations, one.temperature), rel=1e-4
    )


@pytest.mark.parametrize(("sight", "width"), [(DLIB, 4096 + 1024), (FACERES, 9 * 1024)])
def test_looks_are_maps_of_the_face_and_its_mirror_image(sight: Sight, width: int) -> None:
    crops = torch.full((2, 3, 64, 64), -1.0)
    crops[1, ..., :32] = 1.0  # the left half is bright
    network = TINY[sight.network]()
    once, both = (sight.seen(network, crops, mirrored=mirrored) for mirrored in (False, True))
    assert once.shape == both.shape == (2, width) == (2, sum(sight.widths))
    assert once[1, 0] > 0.9 > -0.9 > once[1, -1]  # dlib: level1, then level0; faceres: the left column, the right one
    assert both[0] == pytest.approx(np.full(width, -1.0))
    assert once[1].std() > 0.5
    mirrored = both[1].view(-1, 3) if sight is FACERES else both[1][:, None]
    assert torch.allclose(mirrored, mirrored.flip(1), atol=0.02)  # nothing says which side was bright


def test_maps_are_divided_as_pooling_does() -> None:
    seen = FACERES.seen(TinyFaceRes(), torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert seen.view(2, 1024, 9)[:, 0].std() > 1e-3
    assert torch.equal(seen.view(2, 1024, 9)[:, 0], seen.view(2, 1024, 9)[:, -1])  # map by map, place by place


def test_networks_have_names() -> None:
    assert networks_of(SIGHTS) == "dlib-resnet+faceres"
    assert sight_of("faceres") is FACERES
    with pytest.raises(RequestError, match="network: 'resnet' given; allowed: dlib-resnet, faceres"):
        sight_of("resnet")


def test_a_head_wants_its_looks() -> None:
    with pytest.raises(ValueError, match="wanted N 5120"):
        head()(torch.zeros(1, 7))
    with pytest.raises(RequestError, match="2 looks, 1 inner widths"):
        SexHead(SexHeadConfig(widths=(4, 5), inner=(3,)))
    with pytest.raises(RequestError, match="2 readers, a sum of 2"):
        others(total=Sum((1.0, 1.0)))


@pytest.mark.parametrize("sights", [SIGHTS, (DLIB,)])
def test_readers_are_summed_and_nothing_else_changes(sights: Sequence[Sight]) -> None:
    crops = tiny_crops(5)
    alone, further = reader(), others(sights=sights)
    both = alone.beside(further)
    one, two = alone.read(crops), both.read(crops)
    assert both.metadata["version"] == f"heads-1+sex-readers-s({networks_of(sights)})"
    assert alone.metadata["version"] == "heads-1"  # the reader itself stays as it was
    raw = alone._raw(crops, False)
    first = logit_of(raw.groups[GROUPS.index(SEX)])
    said = further.logits(to_tensor(crops))
    assert said.shape == (5, len(sights))
    assert np.std(said, 0).min() > 0
    assert two.female == pytest.approx(further.sum.female(first, said), abs=1e-5)
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


def test_heads_that_differ_in_their_start_are_averaged_as_one() -> None:
    sight = replace(DLIB, inner=(5, 3))
    heads = [head(sight, seed) for seed in (1, 2, 3)]
    whole = merged(heads)
    assert whole.config.inner == (15, 9)
    looks = torch.randn(6, sum(sight.widths))
    wanted = torch.stack([one(looks) for one in heads]).mean(0)
    assert torch.allclose(whole(looks), wanted, atol=1e-5)
    assert wanted.std() > 1e-3
    assert torch.allclose(merged(heads[:1])(looks), heads[0](looks), atol=1e-6)
    with pytest.raises(RequestError, match="heads of different looks"):
        merged([heads[0], head(FACERES)])


def test_a_head_is_kept_in_eight_bits() -> None:
    made = head()
    tensors = packed(made)
    assert tensors["looks.0.weight"].dtype == torch.int8
    state = unpacked({name: value.float() if value.is_floating_point() else value for name, value in tensors.items()})
    assert set(state) == set(made.state_dict())
    step = made.looks[0].weight.abs().amax(1) / 127
    assert ((state["looks.0.weight"] - made.looks[0].weight).abs() <= 0.51 * step[:, None]).all()


def test_parts_are_joined_with_what_others_said_or_without() -> None:
    raw = reader()._raw(tiny_crops(2), False)
    groups, ages = raw.groups, raw.age_years
    part = RawReadings(raw.scores, groups, ages, np.array([[1.0, 3.0], [2.0, 4.0]], np.float32))
    joined = RawReadings.joined([part, part])
    assert joined.others is not None
    assert joined.others.tolist() == [[1, 3], [2, 4], [1, 3], [2, 4]]
    assert RawReadings.joined([part, raw]).others is None


def test_other_heads_have_no_further_readers() -> None:
    with pytest.raises(RequestError, match="fitted beside the heads 'heads-2', not 'heads-1'"):
        reader().beside(others("heads-2"))
    alone = reader()
    assert alone.beside(None) is alone


SUMS = {
    "dlib-resnet": {"deviations": [4.0, 0.5], "temperature": 2.0},
    "faceres": {"deviations": [4.0, 0.7], "temperature": 2.1},
    "dlib-resnet+faceres": {"deviations": [4.0, 0.5, 0.7], "temperature": 1.9},
}


def saved(path: Path, **changes: Any) -> dict[str, SexHead]:
    made = {sight.network: head(sight) for sight in SIGHTS}
    about = {"model": MODEL, "version": "s", "first": FIRST, "sums": SUMS,
             "heads": {name: one.config.model_dump() for name, one in made.items()}} | changes  # fmt: skip
    tensors = {f"{name}.{key}": value for name, one in made.items() for key, value in packed(one).items()}
    save_weights(path, tensors, about)
    return made


def has(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """As if only these networks had been fetched."""

    def path(name: str) -> Path:
        if name not in names:
            raise WeightsError(f"the network '{name}' is not on this machine; run: mien models fetch {name}")
        return Path(name)

    monkeypatch.setattr(store, "weights_path", path)


@pytest.mark.usefixtures("networks")
def test_heads_come_back_from_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = saved(tmp_path / "w.safetensors")
    found = SexReaders.load(tmp_path / "w.safetensors")
    for one in found.readers:
        looks = torch.randn(4, sum(one.sight.widths))
        assert one.logits_of(looks) == pytest.approx(made[one.sight.network](looks).detach().numpy(), abs=0.05)
    assert (found.first, found.version) == (FIRST, "sex-readers-s(dlib-resnet+faceres)")
    assert found.sum == Sum((4.0, 0.5, 0.7), 1.9)
    has(monkeypatch, "faceres")
    one = SexReaders.load(tmp_path / "w.safetensors", only_fetched=True)
    assert (one.networks, one.sum) == ("faceres", Sum((4.0, 0.7), 2.1))
    for changes in ({"sums": {}}, {"heads": {"resnet": {}}}):
        saved(tmp_path / "w.safetensors", **changes)
        with pytest.raises(WeightsError, match="does not say which networks are read, or how they are summed"):
            SexReaders.load(tmp_path / "w.safetensors")


def test_without_networks_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="mien models fetch dlib-resnet"):
        SexReaders.load()
    assert SexReaders.where_fetched("any") is None


def test_a_damaged_network_is_told_and_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    place = next(each.path for each in store.status() if each.model.name == "faceres")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"half of it")
    with pytest.raises(WeightsError, match=place.name):
        SexReaders.where_fetched("any")


@pytest.mark.usefixtures("networks")
def test_the_packaged_ones_are_for_the_packaged_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.core.checkpoints import load_weights

    heads = load_weights(WEIGHTS / "attributes.safetensors", model="attributes", dtype=None)[1]
    has(monkeypatch, "dlib-resnet", "faceres")
    found = SexReaders.where_fetched(heads["version"])
    assert found is not None
    assert found.networks == "dlib-resnet+faceres"
    assert SexReaders.where_fetched("other heads") is None
    has(monkeypatch, "dlib-resnet")
    fewer = SexReaders.where_fetched(heads["version"])
    assert fewer is not None
    assert fewer.networks == "dlib-resnet"
    file, card = WEIGHTS / f"{MODEL}.safetensors", (WEIGHTS / f"{MODEL}.md").read_text()
    assert file.stat().st_size < 7_000_000
    assert f"# Model card: sex-readers {found.metadata['version']}" in card
    assert f"`{heads['version']}`" in card
