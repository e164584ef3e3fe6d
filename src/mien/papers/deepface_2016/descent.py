"""The descent that makes a picture: many at once, each as if it were alone.

Every picture has its own generator, its own jitter, its own learning rate and its own end, and where bf16 convolutions
are used (they give one picture the same bits whatever stands beside it) it does not depend on the others in any bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.core.errors import RequestError
from mien.papers.deepface_2016.picture import DescentConfig, Fourier, Pixels, blurred, regularisers

Float64Array = npt.NDArray[np.float64]
Offset = tuple[int, int]  # rows, columns
Offsets = Sequence[Offset]  # N
Objective = Callable[[Tensor, Offsets], Tensor]  # (N 3 S S in [-1, 1], where each lies in its canvas) -> N to lower
Progress = Callable[[int, float], None]  # step, mean loss

LEAST_RATE = 1 / 20  # of the cosine schedule
TRIAL, SLOWER, LEAST_TRIED = 5, 10**-0.5, 1e-12  # the search of a learning rate: steps, factor, where it gives up
KEEPS = 0.25  # of the gain that the slope promises, at the first step
LONGEST = 0.05  # root mean square of the first step, in [-1, 1] values, where the objective saturates
ROUGH = 0.01  # of what was gained: a step that rises by no more still falls (bf16 rounds)
STAGES = (4, 16, 64, 256)  # steps after which pictures on the way are kept


@dataclass(frozen=True, slots=True)
class Descent:
    """What a descent found, and the way there."""

    pictures: Tensor  # N 3 H W in [-1, 1], canvases
    losses: Float64Array  # T N; NaN after the step at which a picture had converged
    rates: tuple[float, ...]  # N: the learning rate of each
    stages: Mapping[int, Tensor] = field(default_factory=dict)  # step -> N 3 H W: the beginning (0), and on the way

    @property
    def steps(self) -> tuple[int, ...]:
        """N: how many each picture took."""
        return tuple(int(count) for count in np.isfinite(self.losses).sum(0))


def windows(canvas: Tensor, offsets: Offsets, size: int) -> Tensor:
    """Of each canvas (N 3 H W, or one for all) the square of ``size`` at its offset: N 3 size size."""
    if canvas.shape[2:] == (size, size) and len(canvas) == len(offsets):
        return canvas
    whole = canvas.expand(len(offsets), -1, -1, -1)
    return torch.stack([each[:, y : y + size, x : x + size] for each, (y, x) in zip(whole, offsets, strict=True)])


def descend(
    objective: Objective,
    begin: Tensor,
    window_px: int,
    config: DescentConfig,
    draws: Sequence[torch.Generator],
    *,
    mean_face: Tensor | None = None,
    saturates: bool = False,
    progress: Progress | None = None,
) -> Descent:
    """Lower ``objective`` plus the regularisers from ``begin`` (N 3 H W, canvases); ``draws`` are N generators.

    ``mean_face`` (1 or N, 3 H W) is what the anchor pulls to; ``saturates``: see ``search_rates``. ``RequestError`` for
    an anchor without one, for a learning rate at which a loss diverges, and for L-BFGS with more than one picture,
    whose steps would mix them.
    """
    if config.anchor and mean_face is None:
        raise RequestError("anchor: given without a mean face to pull to; wanted: anchor 0, or a mean face")
    if config.optimiser == "lbfgs" and len(begin) > 1:
        raise RequestError(f"optimiser: lbfgs given with {len(begin)} pictures; it takes one at a time")
    anchor = None if mean_face is None else blurred(mean_face, config.anchor_sigma_px)
    room = begin.shape[-1] - window_px

    def cost(picture: Tensor, offsets: Offsets) -> Tensor:
        return objective(windows(picture, offsets, window_px), offsets) + regularisers(picture, anchor, config)

    rates = torch.full((len(begin),), config.learning_rate)
    if config.search:
        rates = search_rates(cost, begin, (room // 2, room // 2), config, saturates=saturates)
    stepper = _Stepper(begin, config, rates)
    found, losses, active, stages = begin.clone(), [], np.ones(len(begin), bool), {0: begin}
    for step in range(config.steps):
        offsets = [_drawn(room, one) for one in draws]
        now = stepper.step(partial(cost, offsets=offsets), _share(step, config))
        _refuse_divergence(now, active, rates, step)
        losses.append(np.where(active, now, np.nan))
        if step + 1 in STAGES:
            stages[step + 1] = stepper.pictures()
        if progress is not None:
            progress(step + 1, float(now.mean()))
        if config.patience and step + 1 < config.steps:
            ended = active & converged(losses, config)
            found[torch.from_numpy(ended)] = stepper.pictures()[torch.from_numpy(ended)]
            active &= ~ended
            if not active.any():
                break
        stepper.tidy(step)  # after what has converged was taken: nothing is blurred last
    left = torch.from_numpy(active)
    found[left] = stepper.pictures()[left]
    return Descent(found, np.stack(losses), tuple(rates.tolist()), stages)


def converged(losses: Sequence[Float64Array], config: DescentConfig) -> npt.NDArray[np.bool_]:
    """N: has a picture gained less than ``tolerance`` of all that it gained in its last ``patience`` steps?

    Means over ``patience`` steps are compared, since jitter and blur make single losses rise and fall.
    """
    span = config.patience
    if len(losses) < 2 * span or len(losses) % span:
        return np.zeros(len(losses[0]), bool)
    before, after = (np.mean(losses[place : place + span or None], axis=0) for place in (-2 * span, -span))
    return np.asarray(before - after <= config.tolerance * np.maximum(losses[0] - after, 0))


def search_rates(
    cost: Callable[..., Tensor], begin: Tensor, offset: Offset, config: DescentConfig, *, saturates: bool = False
) -> Tensor:
    """N: for each picture the first rate, from ``config.learning_rate`` downward, at which its loss falls.

    Section 5.2: "we incrementally reduce the learning rate until the loss starts to decrease instead of diverging".
    Falling is: at every one of a few steps, and at the first by a quarter of what its slope promises (Armijo, 1966).
    Less will not do: where the rate is far too high all pixels jump to black or white, which can lie below the
    beginning, too.

    A softmax ``saturates``: a slope of hundreds cannot keep its promise to an objective that ends at 1, and the rate
    that a quarter of it left was so low that the blur took the picture away. There the first step may be as long as
    the noise of the beginning (``LONGEST``).
    """
    rates = torch.full((len(begin),), config.learning_rate)
    offsets = [offset] * len(begin)
    while True:
        stepper = _Stepper(begin, config.model_copy(update={"blur_every": 0}), rates)
        losses = np.stack([stepper.step(partial(cost, offsets=offsets), 1.0) for _ in range(TRIAL)])
        with np.errstate(invalid="ignore"):
            gained, promised = losses[0] - losses[-1], stepper.first_slope * rates.double().numpy()
            falls = np.isfinite(losses).all(0) & (gained > 0) & (np.diff(losses, axis=0) <= ROUGH * gained).all(0)
            first = np.sqrt(promised * rates.double().numpy() / begin[0].numel())  # root mean square of the first step
            falls &= first <= LONGEST if saturates else losses[0] - losses[1] >= KEEPS * promised
        if falls.all():
            return rates
        rates = torch.where(torch.from_numpy(falls), rates, rates * SLOWER)
        if float(rates.min()) < LEAST_TRIED * config.learning_rate:
            raise RequestError(f"learning rate: {config.learning_rate:g} given; the loss falls at no lower rate either")


class _Stepper:
    """Parameters of N pictures and how they move."""

    def __init__(self, begin: Tensor, config: DescentConfig, rates: Tensor) -> None:
        self.form = (Fourier if config.parametrisation == "fourier" else Pixels)(begin)
        self.config = config
        self.rates = rates.to(begin).view(-1, *[1] * (self.form.values.ndim - 1))
        self.first_slope: Float64Array = np.zeros(0)  # N: squared length of the first gradient
        self.optimiser: torch.optim.Optimizer
        if config.optimiser == "sgd":
            self.optimiser = torch.optim.SGD([self.form.values], lr=1.0)
        elif config.optimiser == "adam":
            self.optimiser = torch.optim.Adam([self.form.values], lr=1.0, betas=(0.9, 0.99))
        else:
            self.optimiser = torch.optim.LBFGS(
                [self.form.values], lr=1.0, max_iter=5, history_size=10, line_search_fn="strong_wolfe"
            )

    def step(self, cost: Callable[[Tensor], Tensor], share: float) -> Float64Array:
        """One step at ``share`` of the rates; the losses (N) before it."""
        values, sgd = self.form.values, self.config.optimiser == "sgd"
        for group in self.optimiser.param_groups:
            if sgd:  # it scales its gradients, since each picture has its own rate
                group["lr"] = share
            elif self.config.optimiser == "adam":
                group["lr"] = share * self.config.learning_rate  # L-BFGS searches the length of each of its steps
        first: list[Tensor] = []

        def closure() -> Tensor:
            losses = cost(self.form.picture())
            (gradient,) = torch.autograd.grad(losses.sum(), [values])
            if not len(self.first_slope):
                self.first_slope = np.asarray(gradient.flatten(1).square().sum(1).cpu().double().numpy())
            values.grad = gradient * self.rates if sgd else gradient
            first.append(losses.detach())
            return losses.detach().sum()

        self.optimiser.step(closure)  # type: ignore[arg-type]
        return np.asarray(first[0].cpu().double().numpy())

    def pictures(self) -> Tensor:
        """N 3 H W in [-1, 1]."""
        return self.form.picture().detach().clamp(-1, 1)

    def tidy(self, step: int) -> None:
        """Pixels are kept in range, and blurred where that is the regulariser; not after the last step."""
        if isinstance(self.form, Fourier):
            return
        config = self.config
        with torch.no_grad():
            self.form.values.clamp_(-1, 1)
            if config.blur_every and (step + 1) % config.blur_every == 0 and step + 1 < config.steps:
                self.form.values.copy_(blurred(self.form.values, config.blur_sigma_px))


def _drawn(room: int, draws: torch.Generator) -> Offset:
    """A place for the window, anywhere in the canvas."""
    y, x = (int(torch.randint(room + 1, (1,), generator=draws)) if room else 0 for _ in range(2))
    return y, x


def _share(step: int, config: DescentConfig) -> float:
    """Of the learning rate at a step."""
    if config.schedule == "constant":
        return 1.0
    return LEAST_RATE + (1 - LEAST_RATE) * (1 + math.cos(math.pi * step / config.steps)) / 2


def _refuse_divergence(losses: Float64Array, active: npt.NDArray[np.bool_], rates: Tensor, step: int) -> None:
    wrong = active & ~np.isfinite(losses)
    if wrong.any():
        rate = float(rates[int(np.flatnonzero(wrong)[0])])
        raise RequestError(f"learning rate: {rate:g} given; the loss diverged at step {step}")
