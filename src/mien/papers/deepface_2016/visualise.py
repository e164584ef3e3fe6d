"""Class visualisation: the baseline of Cate, Dalvi and Hussain, *DeepFace* (2016), section 3.3.1.

From the mean image with a little Gaussian noise, "set the gradients at each softmax layer to either 1 or 0, depending
on our target attributes C", walk backward, and update the picture by SGD and regularisation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import torch
from torch import Tensor

from mien.core.errors import RequestError
from mien.papers.deepface_2016.descent import Descent, Objective, Offsets, Progress, descend
from mien.papers.deepface_2016.picture import DescentConfig


class HeadGroup(Protocol):
    """What is read of a group of attributes (``attributes``)."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What its softmax chooses from."""


Heads = Callable[[Tensor], Sequence[Tensor]]  # pictures N 3 S S in [-1, 1] -> the logits (N classes) of each group


def boost(heads: Heads, groups: Sequence[HeadGroup], wanted: Sequence[Collection[str]]) -> Objective:
    """Minus the sum of the softmax outputs of the wanted attributes, so that the gradient there is 1, and 0 elsewhere.

    ``wanted``: the set C of each picture (N). Divided by the number of its attributes, as regularisers are weighed
    against an objective near 1. ``RequestError`` for an attribute that no head knows, or none.
    """
    known = {name for group in groups for name in group.classes}
    places = []  # of each picture: (group, class) of each attribute
    for attributes in wanted:
        unknown = sorted(set(attributes) - known)
        if unknown or not attributes:
            given = f"'{unknown[0]}'" if unknown else "nothing"
            raise RequestError(f"attributes: {given} given; wanted are one or more of the classes of the heads")
        places.append(
            [
                (number, group.classes.index(name))
                for number, group in enumerate(groups)
                for name in attributes
                if name in group.classes
            ]
        )

    def objective(window: Tensor, _offsets: Offsets) -> Tensor:
        probabilities = [logits.float().softmax(1) for logits in heads(window)]
        return torch.stack(
            [-torch.stack([probabilities[g][row, c] for g, c in asked]).mean() for row, asked in enumerate(places)]
        )

    return objective


def visualise(
    heads: Heads,
    groups: Sequence[HeadGroup],
    wanted: Sequence[Collection[str]],
    mean_face: Tensor,
    window_px: int,
    config: DescentConfig,
    draws: Sequence[torch.Generator],
    *,
    progress: Progress | None = None,
) -> Descent:
    """N pictures that the heads find to have the attributes ``wanted`` (N sets), begun at ``mean_face`` (1 3 H W).

    Each begins with noise of its own of ``draws`` (N).
    """
    noise = torch.stack([torch.randn(mean_face.shape[1:], generator=one) for one in draws]) * config.begin_noise
    return descend(
        boost(heads, groups, wanted),
        (mean_face + noise).clamp(-1, 1),
        window_px,
        config,
        draws,
        mean_face=mean_face if config.anchor else None,
        saturates=True,
        progress=progress,
    )
