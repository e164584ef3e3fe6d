"""Sanche's networks as printed, their training in small, and what every generator promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_generator import FakeGenerator
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.core import contract
from mien.core.contract import FaceRequest, complete, in_fixed_rows, requests_for
from mien.core.errors import RequestError, WeightsError
from mien.core.records import Labels
from mien.core.seeding import stream
from mien.datasets.batches import AGE_EDGES_YEARS
from mien.papers.cgan_sanche.networks import (
    BIN_EDGES_YEARS,
    Ages,
    PaperCrowd,
    SancheConfig,
    SancheDiscriminator,
    SancheGenerator,
    draw_noise,
    encode_labels,
)
from mien.training.crowd_paper import (
    CrowdPaperConfig,
    detection_hook,
    export,
    paper_batch,
    paper_networks,
    paper_phases,
    preview_sheet,
    train_paper,
)
from mien.training.logbook import read_logbook
from mien.training.loop import LoopSettings, Outcome
from mien.training.phases import History

SMALL = SancheConfig(noise=6, channels=(4, 4, 4), hidden=16, size_px=16)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_networks_have_the_printed_sizes() -> None:
    config = SancheConfig()
    discriminator, generator = SancheDiscriminator(config), SancheGenerator(config)
    convolutions = (5 * 9 + 1) * 16 + (16 * 9 + 1) * 32 + (32 * 9 + 1) * 64
    assert count(discriminator) == convolutions + (4096 + 1) * 5000 + (5000 + 1)
    deconvolutions = (64 * 9) * 32 + 32 + (32 * 9) * 16 + 16 + (16 * 9) * 3 + 3
    norms = 2 * (5000 + 4096 + 32 + 16)
    assert count(generator) == (102 + 1) * 5000 + (5000 + 1) * 4096 + deconvolutions + norms
    noise = draw_noise(2, config.noise, torch.Generator().manual_seed(0))
    assert noise.shape == (2, 100)
    assert noise.min() >= -1
    assert noise.max() <= 1
    many = draw_noise(100, config.noise, torch.Generator().manual_seed(0))
    assert many.min() < -0.99
    assert many.max() > 0.99
    assert float(many.mean()) == pytest.approx(0, abs=0.02)
    assert float(many.var()) == pytest.approx(1 / 3, abs=0.02)  # of a uniform one
    image = generator(noise, encode_labels(["female", "male"], [20, 40]))
    assert image.shape == (2, 3, 64, 64)
    assert image.abs().max() <= 1
    assert discriminator(image, torch.zeros(2, 2)).shape == (2,)


def test_labels_lie_between_minus_one_and_one() -> None:
    labels = encode_labels(["female", "male", "male", "female"], [10, 55, 100, 3])
    assert labels.tolist() == [[-1, -1], [1, 0], [1, 1], [-1, -1]]
    with pytest.raises(RequestError, match="2 sexes but 1 ages"):
        encode_labels(["female", "male"], [3])


def test_both_networks_look_at_both_labels() -> None:
    torch.manual_seed(0)
    discriminator, generator = SancheDiscriminator(SMALL), SancheGenerator(SMALL).eval()
    noise = draw_noise(1, 6, torch.Generator().manual_seed(0))
    plain = torch.zeros(1, 2)
    for other in (torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])):
        assert not torch.allclose(generator(noise, plain), generator(noise, other))
        image = torch.zeros(1, 3, 16, 16)
        assert not torch.allclose(discriminator(image, plain), discriminator(image, other))


def test_wrong_shapes_are_refused_at_the_door() -> None:
    with pytest.raises(ValueError, match="want N 3 H W and N 2"):
        SancheDiscriminator(SMALL)(torch.zeros(2, 3, 64, 64), torch.zeros(2, 2))
    with pytest.raises(ValueError, match="want N 6 and N 2"):
        SancheGenerator(SMALL)(torch.zeros(2, 6), torch.zeros(3, 2))


def test_the_phases_are_the_papers() -> None:
    discriminator, generator = paper_phases(CrowdPaperConfig())
    assert (discriminator.networks, generator.networks) == (("discriminator",), ("generator",))
    assert discriminator.learning_rate(100) == pytest.approx(5e-4 * 0.996)
    assert generator.learning_rate(10**6) == 5e-5
    assert discriminator.gate is not None
    assert generator.gate is not None
    assert discriminator.gate(History(1, {"discriminator": 0.4, "generator": 1.0}))
    assert not generator.gate(History(1, {"discriminator": 0.4, "generator": 1.0}))
    assert generator.gate(History(1, {"discriminator": 1.0, "generator": 0.3}))


def test_the_detection_rate_is_of_both_sexes_and_all_ages() -> None:
    """One woman for one man, of 10 to 80 years (figure 8), whatever batches they are made in."""
    shown: list[torch.Tensor] = []
    networks = paper_networks(CrowdPaperConfig(networks=SMALL), 1)
    networks["generator"].eval().register_forward_hook(lambda _, given, made: shown.append(given[1]))
    with torch.no_grad():
        detection_hook(lambda photos: 0.0, count=150).measure(networks, 0)
    labels = torch.cat(shown)
    asked = encode_labels(["male", "female"] * 75, [10.0] * 75 + [80.0] * 75)
    assert torch.equal(labels[:, 0], asked[:, 0])
    low, high = sorted((float(asked[0, 1]), float(asked[-1, 1])))
    assert low <= float(labels[:, 1].min()) < low + 0.1 * (high - low)
    assert high - 0.1 * (high - low) < float(labels[:, 1].max()) <= high


def test_a_small_run_learns_and_its_weights_make_faces(tmp_path: Path) -> None:
    config = CrowdPaperConfig(networks=SMALL, learning_rate=2e-3)

    def batch_at(step: int) -> dict[str, torch.Tensor]:
        draws = stream(0, "toy", step)
        photos = draws.integers(0, 30, (16, 16, 16, 3)).astype(np.uint8)
        sexes = ["female", "male"] * 8
        photos[::2, :, :, 0] += 200  # women are red
        return paper_batch(photos, sexes, draws.uniform(10, 80, 16).tolist())

    steps = LoopSettings(
        steps=100, batch_size=16, device="cpu", threads=1, preview_every=100, log_every=50, tensorboard=False,
        progress=False,
    )  # fmt: skip
    hook = detection_hook(lambda photos: float(photos.shape == (6, 16, 16, 3)), every=100, count=6)
    outcome = train_paper(batch_at, tmp_path, config, steps, hooks=[hook], data="toy")
    assert outcome.images == 1600
    assert (tmp_path / "previews" / "preview-00000100.png").exists()
    (line,) = [line for line in read_logbook(tmp_path) if line["kind"] == "measure"]
    assert line["values"] == {"detection rate (n 6)": 1.0}

    crowd = PaperCrowd.load(tmp_path / "weights.safetensors")
    made = contract.make(crowd, requests_for([Labels("female", 30.0)] * 20 + [Labels("male", 30.0)] * 20, seed=3))
    red = np.array([face.image[..., 0].mean() for face in made])
    assert red[:20].mean() > red[20:].mean() + 40  # the label is obeyed
    with pytest.raises(WeightsError, match="no such weights file"):
        PaperCrowd.load(tmp_path / "nothing.safetensors")


def test_fresh_networks_come_from_the_seed_alone() -> None:
    config = CrowdPaperConfig(networks=SMALL)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one, again, other = paper_networks(config, 3), paper_networks(config, 3), paper_networks(config, 4)
    assert torch.equal(torch.random.get_rng_state(), before)
    pick = [next(n["generator"].parameters()) for n in (one, again, other)]
    assert torch.equal(pick[0], pick[1])
    assert not torch.equal(pick[0], pick[2])


def test_the_preview_holds_the_noise_and_moves_the_labels() -> None:
    network = SancheGenerator(SancheConfig(noise=6, channels=(4, 4, 4), hidden=16)).eval()
    with torch.no_grad():
        page = preview_sheet({"generator": network}, 0)
    assert page.shape == (8 * 66 + 2, 8 * 66 + 2, 3)


# What every generator promises (core/contract.py).


def small_paper_crowd() -> PaperCrowd:
    torch.manual_seed(0)
    return PaperCrowd(SancheGenerator(SMALL), "test")


MODEL_SPECS = {"fake": FakeGenerator, "paper": small_paper_crowd}


@pytest.fixture(params=MODEL_SPECS)
def maker(request: pytest.FixtureRequest) -> contract.Generator:
    return MODEL_SPECS[request.param]()


def test_generators_answer_in_order_with_labels(maker: contract.Generator) -> None:
    assert isinstance(maker, contract.Generator)
    wanted = [Labels("male", 61.0), Labels(), Labels("female")]
    made = contract.make(maker, requests_for(wanted, seed=5, first=30))
    assert [face.index for face in made] == [30, 31, 32]
    assert {(face.seed, face.model, face.model_version) for face in made} == {(5, maker.name, maker.version)}
    assert made[0].labels == wanted[0]
    assert made[2].labels.sex == "female"
    for face in made:
        assert face.image.shape == (maker.size_px, maker.size_px, 3)
        assert face.image.dtype == np.uint8
        assert face.labels.sex in ("female", "male")
        assert face.labels.age_years is not None
    assert contract.make(maker, []) == []


def test_a_face_depends_on_seed_index_and_labels_alone(maker: contract.Generator) -> None:
    whole = contract.make(maker, requests_for([Labels("female", 30.0)] * 40, seed=5))
    for index in (0, 17, 39):
        (alone,) = contract.make(maker, [FaceRequest(5, index, Labels("female", 30.0))])
        assert np.array_equal(alone.image, whole[index].image)
    backwards = contract.make(maker, requests_for([Labels("female", 30.0)] * 40, seed=5)[::-1])
    assert all(np.array_equal(a.image, b.image) for a, b in zip(backwards[::-1], whole, strict=True))
    images = [face.image.tobytes() for face in whole]
    assert len(set(images)) == 40
    (other_seed,) = contract.make(maker, [FaceRequest(6, 0, Labels("female", 30.0))])
    (other_label,) = contract.make(maker, [FaceRequest(5, 0, Labels("male", 30.0))])
    assert not np.array_equal(other_seed.image, whole[0].image)
    assert not np.array_equal(other_label.image, whole[0].image)


def test_asking_for_what_would_be_drawn_gives_the_same_face(maker: contract.Generator) -> None:
    (drawn,) = contract.make(maker, [FaceRequest(5, 9)])
    (asked,) = contract.make(maker, [FaceRequest(5, 9, drawn.labels)])
    assert np.array_equal(drawn.image, asked.image)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.sampled_from(["female", "male"])), max_size=40),
    st.integers(1, 8),
)
def test_fixed_rows_lose_and_double_nothing(asked: list[tuple[int, int, str]], rows: int) -> None:
    requests = [FaceRequest(seed, index, Labels(sex)) for seed, index, sex in asked]  # type: ignore[arg-type]
    pages = list(in_fixed_rows(requests, rows))
    found = [slot for page in pages for slot in page if slot is not None]
    assert sorted(position for position, _ in found) == list(range(len(requests)))
    assert all(requests[position] == request for position, request in found)
    for page in pages:
        assert len(page) == rows
        for row, slot in enumerate(page):
            assert slot is None or slot[1].index % rows == row


def test_unknown_labels_are_drawn_evenly() -> None:
    labels = [complete(FaceRequest(1, k), (20.0, 60.0)) for k in range(2000)]
    assert 0.45 < np.mean([item.sex == "female" for item in labels]) < 0.55
    ages = [item.age_years for item in labels]
    assert 20 <= min(ages) < 21
    assert 59 < max(ages) <= 60
    asked = Labels("male", 33.0, race="Indian")
    assert complete(FaceRequest(1, 0, asked), (0, 1)) == asked
    assert complete(replace(FaceRequest(1, 0), labels=Labels(age_years=2.0)), (20, 60)).age_years == 2.0


def test_ages_are_told_as_years_words_or_bins() -> None:
    ages = [12.0, 19.9, 20.0, 45.0, 60.0, 99.0]
    words = encode_labels(["female"] * 6, ages, "words")
    assert words[:, 0].tolist() == [-1.0] * 6
    assert words[:, 1:].argmax(1).tolist() == [0, 0, 1, 1, 2, 2]  # teenager, adult, senior
    assert words[:, 1:].sum(1).tolist() == [-1.0] * 6  # one 1, two -1
    bins = encode_labels(["male"] * 6, ages, "bins")
    assert bins[:, 1:].argmax(1).tolist() == [0, 0, 1, 3, 5, 7]
    assert (10, *BIN_EDGES_YEARS["bins"], 100) == AGE_EDGES_YEARS


@pytest.mark.parametrize(("ages", "numbers"), [("years", 2), ("words", 4), ("bins", 9)])
def test_networks_of_every_kind_of_age_are_trained_and_loaded(ages: Ages, numbers: int, tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"ages": ages})
    assert config.labels == numbers
    networks = paper_networks(CrowdPaperConfig(networks=config), 0)
    labels = encode_labels(["female", "male"], [20, 70], ages)
    image = networks["generator"](torch.zeros(2, 6), labels)
    assert networks["discriminator"](image, labels).shape == (2,)
    export(Outcome(0, True, None, networks, 0), tmp_path / "w.safetensors", CrowdPaperConfig(networks=config))
    crowd = PaperCrowd.load(tmp_path / "w.safetensors")

    def face(years: float) -> np.ndarray:
        return contract.make(crowd, [FaceRequest(1, 0, Labels("female", years))])[0].image

    assert not np.array_equal(face(15), face(70))
    assert np.array_equal(face(31), face(39)) == (ages != "years")  # of one bin
    assert np.array_equal(face(31), face(52)) == (ages == "words")
