"""Class visualisation and feature inversion, on an encoder of a few weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mien.core.errors import RequestError
from mien.papers.deepface_2016.descent import Offsets, converged, descend, search_rates, windows
from mien.papers.deepface_2016.invert import canvas_of, fixed, invert, noise_canvas, of_picture
from mien.papers.deepface_2016.picture import (
    MIEN,
    PAPER,
    DescentConfig,
    Fourier,
    Pixels,
    blurred,
    canvas_px,
    luma_chroma,
    regularisers,
    variation,
)
from mien.papers.deepface_2016.visualise import boost, visualise

SIZE = 24
BARE: dict[str, Any] = {"variation_luma": 0.0, "variation_chroma": 0.0, "anchor": 0.0}


class TinyEncoder:
    """Two convolutions and a mean behind the contract of encoders."""

    name = "tiny"
    input_size = SIZE
    taps = ("first", "second", "pool")

    def __init__(self) -> None:
        draws = torch.Generator().manual_seed(1)
        self.network: nn.Module = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 12, 3, 2)).requires_grad_(False)
        for parameter in self.network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws) / 3)

    def __call__(self, tensor: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        first = torch.nn.functional.leaky_relu(self.network[0](tensor))  # type: ignore[index]
        second = torch.nn.functional.leaky_relu(self.network[1](first))  # type: ignore[index]
        found = {"first": first, "second": second, "pool": second.mean((2, 3))}
        return {tap: found[tap] for tap in taps}


def draws(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds or (0,)]


def picture(size: int = SIZE) -> Tensor:
    return blurred(torch.randn(1, 3, size, size, generator=draws(3)[0]), 2.0).clamp(-0.9, 0.9)


@pytest.mark.parametrize("form", [Pixels, Fourier])
@pytest.mark.parametrize("size", [16, 17])
def test_a_picture_comes_back_from_its_parameters(form: type[Pixels | Fourier], size: int) -> None:
    assert form(picture(size)).picture().detach() == pytest.approx(picture(size), abs=1e-4)


@pytest.mark.parametrize(
    "config",
    [
        DescentConfig(parametrisation="pixels", optimiser="sgd", learning_rate=10.0, steps=100, **BARE),
        DescentConfig(parametrisation="pixels", optimiser="adam", learning_rate=0.03, steps=60, **BARE),
        DescentConfig(parametrisation="fourier", optimiser="adam", learning_rate=0.03, steps=60, **BARE),
        DescentConfig(parametrisation="fourier", optimiser="lbfgs", steps=10, jitter=False, **BARE),
    ],
    ids=lambda config: f"{config.parametrisation}-{config.optimiser}",
)
def test_inversion_finds_a_picture_with_the_activations(config: DescentConfig) -> None:
    encoder, size = TinyEncoder(), canvas_px(SIZE, config)
    aim = of_picture(encoder, "first", picture(size))
    done = invert(encoder, "first", aim, noise_canvas(encoder, config, draws()), config, draws())
    found, losses = done.pictures, done.losses[:, 0]
    assert found.shape == (1, 3, size, size)
    assert losses[-1] < losses[0] / 5
    assert (found - picture(size)).abs().mean() < picture(size).abs().mean()
    assert found.abs().max() <= 1


@pytest.mark.parametrize("layer", TinyEncoder.taps)
def test_every_layer_can_be_aimed_at(layer: str) -> None:
    encoder = TinyEncoder()
    aim = fixed(encoder(picture(), [layer])[layer])
    config = MIEN.model_copy(update={"steps": 30, "jitter": False})
    done = invert(encoder, layer, aim, noise_canvas(encoder, config, draws()), config, draws(), mean_face=picture())
    assert done.losses[-1, 0] < done.losses[0, 0]


def test_the_paper_settings_are_pixels_sgd_blur_and_jitter() -> None:
    assert (PAPER.parametrisation, PAPER.optimiser, PAPER.jitter) == ("pixels", "sgd", True)
    assert PAPER.blur_every
    assert max(PAPER.anchor, PAPER.variation_luma, PAPER.variation_chroma) == 0


def test_a_layer_that_does_not_exist_gives_the_list() -> None:
    encoder = TinyEncoder()
    with pytest.raises(RequestError, match="layer: 'fc9' given; tiny has: first, second, pool"):
        invert(encoder, "fc9", fixed(torch.zeros(1, 2)), picture(), MIEN, draws(), mean_face=picture())


def test_a_rate_at_which_it_diverges_is_named() -> None:
    config = DescentConfig(
        parametrisation="pixels", optimiser="sgd", learning_rate=1e30, steps=50, jitter=False, **BARE
    )

    def steep(window: Tensor, _offsets: Offsets) -> Tensor:
        return (window * 1e20).pow(4).sum((1, 2, 3))

    with pytest.raises(RequestError, match=r"learning rate: 1e\+30 given; the loss diverged"):
        descend(steep, picture(), SIZE, config, draws())


def test_an_anchor_needs_a_face() -> None:
    with pytest.raises(RequestError, match="anchor: given without a mean face"):
        descend(lambda window, _: window.sum((1, 2, 3)), picture(), SIZE, MIEN, draws())


def test_regularisers_are_zero_where_there_is_nothing_to_smooth() -> None:
    flat = torch.full((1, 3, SIZE, SIZE), 0.25)
    config = DescentConfig(l2=2.0, variation_luma=1.0, variation_chroma=1.0, anchor=1.0)
    assert float(regularisers(flat, blurred(flat, 7.0), config)) == pytest.approx(2 * 0.25**2, abs=1e-6)
    assert float(variation(picture())) > 0
    luma, chroma = luma_chroma(flat)
    assert float(luma.mean()) == pytest.approx(0.25)
    assert float(chroma.abs().max()) == pytest.approx(0, abs=1e-6)


def test_a_blur_keeps_the_mean_and_halves_detail() -> None:
    spot = torch.zeros(1, 3, 33, 33)
    spot[..., 16, 16] = 1
    assert float(blurred(spot, 2.0).sum()) == pytest.approx(3, rel=1e-4)
    assert float(blurred(spot, 2.0).max()) == pytest.approx(1 / (2 * torch.pi * 4), rel=0.02)


def test_jitter_reads_the_target_where_it_reads_the_picture() -> None:
    encoder = TinyEncoder()
    canvas = picture(SIZE + 4)
    aim = of_picture(encoder, "first", canvas)
    expected = encoder(canvas[:, :, 3 : 3 + SIZE, 1 : 1 + SIZE], ["first"])["first"]
    assert aim([(0, 0), (3, 1)])[1:] == pytest.approx(expected, abs=0.05)  # bf16 where that is fast
    assert not torch.equal(*aim([(0, 0), (3, 1)]))


def test_the_canvas_shows_the_window_of_the_encoder_and_a_margin() -> None:
    crop = torch.zeros(1, 3, 256, 256)
    crop[..., 108, 128] = 1  # between the eyes
    for wider in (False, True):
        canvas = canvas_of(crop, 160, wider=wider)[0, 0]
        place = divmod(int(canvas.argmax()), 160)
        assert place[1] == pytest.approx(79.5, abs=1)
        assert place[0] == pytest.approx(0.40 * 160 if not wider else (0.40 + 0.05) / 1.1 * 160, abs=1.5)


@dataclass(frozen=True)
class HeadOf:
    """A group of attributes."""

    classes: tuple[str, ...]


GROUPS = (HeadOf(("Smiling", "Frowning", "neutral")), HeadOf(("Male", "female")))


def heads(window: Tensor) -> tuple[Tensor, ...]:
    """Bright pictures smile, red ones are of men."""
    bright, red = window.mean((1, 2, 3)) * 5, (window[:, 0] - window[:, 2]).mean((1, 2)) * 5
    return torch.stack([bright, -bright, 0 * bright], 1), torch.stack([red, -red], 1)


def test_the_gradient_is_one_at_the_wanted_softmax_and_zero_at_the_others() -> None:
    probabilities: list[Tensor] = []

    def watched(window: Tensor) -> tuple[Tensor, ...]:
        logits = heads(window)
        probabilities.extend(each.detach().softmax(1) for each in logits)
        return tuple(each.log_softmax(1) for each in logits)  # the softmax of these is theirs

    window = picture().requires_grad_(True)
    loss = boost(watched, GROUPS, [["Smiling", "Male"]])(window, [(0, 0)])
    assert float(loss.detach()) == pytest.approx(-float(probabilities[0][0, 0] + probabilities[1][0, 0]) / 2, rel=1e-5)
    only = boost(heads, GROUPS, [["Smiling"]])(window, [(0, 0)])
    (gradient,) = torch.autograd.grad(only, window)
    assert float((gradient[:, 0] - gradient[:, 2]).abs().max()) < 1e-8, "nothing asks for red"
    assert float(gradient.mean()) < 0


@pytest.mark.parametrize(("wanted", "place"), [("Smiling", (0, 0)), ("Frowning", (0, 1)), ("female", (1, 1))])
def test_a_visualised_class_is_seen_by_the_heads(wanted: str, place: tuple[int, int]) -> None:
    config = MIEN.model_copy(update={"steps": 40, "anchor": 0.0, "jitter": False})
    found = visualise(heads, GROUPS, [[wanted]], picture(), SIZE, config, draws()).pictures
    before, after = (float(heads(each)[place[0]].softmax(1)[0, place[1]]) for each in (picture(), found))
    assert after > before + 0.1


def test_visualisation_of_nothing_or_of_the_unknown_is_refused() -> None:
    with pytest.raises(RequestError, match="attributes: 'Hat' given"):
        boost(heads, GROUPS, [["Smiling"], ["Hat"]])
    with pytest.raises(RequestError, match="attributes: nothing given"):
        boost(heads, GROUPS, [["Smiling"], []])


def test_pictures_made_together_are_those_made_alone() -> None:
    config = MIEN.model_copy(update={"steps": 12, "anchor": 0.0})
    wanted = [["Smiling"], ["Frowning", "Male"], ["female"]]
    together = visualise(heads, GROUPS, wanted, picture(SIZE + 2), SIZE, config, draws(4, 5, 6))
    alone = visualise(heads, GROUPS, wanted[1:2], picture(SIZE + 2), SIZE, config, draws(5))
    assert together.pictures[1:2] == pytest.approx(alone.pictures, abs=1e-5)
    assert together.losses[:, 1] == pytest.approx(alone.losses[:, 0], abs=1e-5)
    assert not torch.equal(together.pictures[0], together.pictures[1])


def bowl(scale: Tensor) -> object:
    """Squares of the pixels, steeper by ``scale`` (N): SGD diverges above a rate of 1 / scale."""
    return lambda window, _offsets: scale * window.square().sum((1, 2, 3))


def test_each_picture_gets_the_first_lower_rate_at_which_its_loss_falls() -> None:
    config = PAPER.model_copy(update={"learning_rate": 1e3, "jitter": False})
    begin = picture().repeat(3, 1, 1, 1)
    scale = torch.tensor([1.5, 150.0, 1.5])

    def cost(picture: Tensor, offsets: Offsets) -> Tensor:
        return bowl(scale)(picture, offsets)  # type: ignore[operator, no-any-return]

    rates = search_rates(cost, begin, (0, 0), config).tolist()
    assert rates == pytest.approx([1e3 * 10**-3.5, 1e3 * 10**-5.5, 1e3 * 10**-3.5], rel=1e-3)
    for rate, steep in zip(rates, scale.tolist(), strict=True):
        assert rate < 1 / steep < rate * 10**0.5, "it would diverge above, and is not needlessly low"


def test_a_rate_that_only_saturates_the_picture_is_too_high() -> None:
    config = PAPER.model_copy(update={"jitter": False})

    def cost(picture: Tensor, offsets: Offsets) -> Tensor:
        return -picture.clamp(-1, 1).mean((1, 2, 3))  # white is best, and no rate can overshoot it

    rate = search_rates(cost, picture(), (0, 0), config).item()
    assert rate < 3 * picture().numel(), "a step of one pixel's range; the first rate promises far more than it keeps"
    assert rate > picture().numel() / 10


def test_a_softmax_that_saturates_is_walked_by_steps_as_long_as_its_noise() -> None:
    """A slope of hundreds promises an objective that ends at 1 too much: the blur took away what the low rate left."""
    config = PAPER.model_copy(update={"jitter": False})
    begin = torch.cat([picture(), picture()])
    steep = torch.tensor([1.0, 5.0])

    def cost(picture: Tensor, offsets: Offsets) -> Tensor:
        return -(steep * (picture - begin).flatten(1).sum(1) - 2).sigmoid()

    rates = search_rates(cost, begin, (0, 0), config, saturates=True)
    slope = 0.105 * steep  # sigmoid'(-2); every pixel moves alike
    for rate, moved in zip(rates, rates * slope, strict=True):
        assert 0.05 * 10**-0.5 < moved <= 0.05, f"{rate}: by the noise of the beginning, not more and not far less"
    lower = search_rates(cost, begin, (0, 0), config)
    assert (lower < rates).all(), "the promise of the slope asks for less"


def test_a_loss_that_never_falls_is_named() -> None:
    config = PAPER.model_copy(update={"jitter": False})
    with pytest.raises(RequestError, match="learning rate: 10000 given; the loss falls at no lower rate either"):
        descend(lambda window, _: window.sum((1, 2, 3)) * 0 + 1, picture(), SIZE, config, draws())


def test_a_picture_that_has_converged_ends_and_stays() -> None:
    config = DescentConfig(
        parametrisation="pixels", optimiser="sgd", learning_rate=0.2, steps=400, patience=5, jitter=False, **BARE
    )
    begin = torch.cat([picture(), picture()])
    slow = torch.tensor([1.0, 0.02])
    done = descend(bowl(slow), begin, SIZE, config, draws(1, 2))  # type: ignore[arg-type]
    alone = descend(bowl(slow[:1]), begin[:1], SIZE, config, draws(1))  # type: ignore[arg-type]
    assert done.steps[0] == alone.steps[0] < 40 < done.steps[1] < 400
    assert torch.equal(done.pictures[0], alone.pictures[0])
    assert not torch.equal(done.pictures[0], done.pictures[1])


def test_jitter_reaches_every_place_down_and_across() -> None:
    config = MIEN.model_copy(update={"steps": 60, "anchor": 0.0})
    room = canvas_px(SIZE, config) - SIZE
    places: list[tuple[int, int]] = []

    def objective(window: Tensor, offsets: Offsets) -> Tensor:
        places.extend(offsets)
        return window.square().mean((1, 2, 3))

    descend(objective, picture(SIZE + room), SIZE, config, draws(7))
    assert room == 2
    assert set(places) == {(y, x) for y in range(room + 1) for x in range(room + 1)}


def test_convergence_looks_at_means_so_that_jitter_does_not_end_a_descent() -> None:
    config = DescentConfig(patience=10, tolerance=0.02)
    steps = np.arange(40)
    shaken = (1 - steps / 40 + 0.3 * (steps % 2))[:, None]
    still = np.where(steps < 5, 1 - steps / 5, 0.1 * (steps % 2))[:, None]
    assert [bool(converged(list(each), config)[0]) for each in (shaken, still)] == [False, True]
    higher = [bool(converged(list(each + 100), config)[0]) for each in (shaken, still)]
    assert higher == [False, True], "the share is of what was gained, however high the loss lies"
    assert not converged(list(still[:19]), config)[0], "too early to say"
    assert not converged(list(still[:35]), config)[0], "asked every ten steps only"


def test_windows_are_cut_where_each_lies() -> None:
    canvas = torch.arange(36.0).view(1, 1, 6, 6).expand(2, 3, 6, 6)
    found = windows(canvas, [(0, 1), (2, 2)], 4)
    assert found.shape == (2, 3, 4, 4)
    assert found[:, 0, 0, 0].tolist() == [1, 14]
    assert windows(canvas[:1], [(0, 1), (2, 2)], 4).equal(found), "one canvas serves all"


def test_lbfgs_takes_one_picture_at_a_time() -> None:
    config = DescentConfig(optimiser="lbfgs", **BARE)
    with pytest.raises(RequestError, match="optimiser: lbfgs given with 2 pictures"):
        descend(bowl(torch.ones(2)), torch.cat([picture(), picture()]), SIZE, config, draws(0, 1))  # type: ignore[arg-type]
