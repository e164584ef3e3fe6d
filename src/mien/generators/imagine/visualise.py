"""Class visualisation: the baseline of Cate, Dalvi and Hussain, *DeepFace* (2016), section 3.3.1.

From the mean image with a little Gaussian noise, "set the gradients at each softmax layer to either 1 or 0, depending
on our target attributes C", walk backward, and update the picture by SGD and regularisation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import torch
from torch import Tensor

from mien.errors import RequestError
from mien.generators.imagine.picture import DescentConfig, Objective, Offset, Progress, descend


class HeadGroup(Protocol):
    """What is read of a group of attributes (``faces/attributes``)."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What its softmax chooses from."""


Heads = Callable[[Tensor], Sequence[Tensor]]  # pictures N 3 S S in [-1, 1] -> the logits (N classes) of each group


def boost(heads: Heads, groups: Sequence[HeadGroup], attributes: Collection[str]) -> Objective:
    """Minus the sum of the softmax outputs of the wanted attributes, so that the gradient there is 1, and 0 elsewhere.

    Divided by the number of attributes, as regularisers are weighed against an objective near 1.
    """
    places = [
        (number, group.classes.index(name))
        for number, group in enumerate(groups)
        for name in attributes
        if name in group.classes
    ]
    known = {name for group in groups for name in group.classes}
    unknown = sorted(set(attributes) - known)
    if unknown or not places:
        given = f"'{unknown[0]}'" if unknown else "nothing"
        raise RequestError(f"attributes: {given} given; wanted are one or more of the classes of the heads")

    def objective(window: Tensor, _offset: Offset) -> Tensor:
        logits = heads(window)
        chances = [logits[number].float().softmax(1)[:, place] for number, place in places]
        return -torch.stack(chances).sum(0).mean() / len(places)

    return objective


def visualise(
    heads: Heads,
    groups: Sequence[HeadGroup],
    attributes: Collection[str],
    mean_face: Tensor,
    window_px: int,
    config: DescentConfig,
    draws: torch.Generator,
    *,
    progress: Progress | None = None,
) -> tuple[Tensor, list[float]]:
    """A picture (1 3 H W) that the heads find to have ``attributes``, begun at ``mean_face`` (1 3 H W) plus noise."""
    noise = torch.randn(mean_face.shape, generator=draws) * config.begin_noise
    begin = (mean_face + noise).clamp(-1, 1)
    return descend(
        boost(heads, groups, attributes),
        begin,
        window_px,
        config,
        draws,
        mean_face=mean_face if config.anchor else None,
        progress=progress,
    )
