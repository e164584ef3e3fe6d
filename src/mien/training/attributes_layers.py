"""Which layers of an encoder learn: the parameters of each, counted from the heads down, and their rates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mien.attributes.features import Recipe
from mien.core.errors import RequestError
from mien.faces.encoder import Encoder

Layers = list[tuple[str, list[nn.Parameter]]]


def layers_of(encoder: Encoder) -> Layers:
    """(layer, parameters) of an encoder, from the first to the last; a layer goes by the name of its tap.

    A parameter belongs to the last part of its path that is a tap: ``stem.4a.weight`` to ``4a``. What lies behind no
    tap by name (FaceNet's ``bottleneck``) belongs to the last tap.
    """
    found: dict[str, list[nn.Parameter]] = {}
    for path, parameter in encoder.network.named_parameters():
        names = [part for part in path.split(".") if part in encoder.taps]
        found.setdefault(names[-1] if names else encoder.taps[-1], []).append(parameter)
    return sorted(found.items(), key=lambda layer: encoder.taps.index(layer[0]))


def layers_from(encoder: Encoder, tap: str, recipe: Recipe) -> Layers:
    """The layers from ``tap`` on, up to the last one that the recipe looks at, from the first to the last.

    Layers after that one get no gradient. ``RequestError`` for a tap that there is not, or with nothing to learn.
    """
    if tap not in encoder.taps:
        allowed = ", ".join(name for name, _ in layers_of(encoder))
        raise RequestError(f"unfreeze_from: '{tap}' given; layers of {encoder.name}: {allowed}")
    last = max(encoder.taps.index(each.tap) for each in recipe)
    first = encoder.taps.index(tap)
    found = [layer for layer in layers_of(encoder) if first <= encoder.taps.index(layer[0]) <= last]
    if not found:
        read = encoder.taps[last]
        raise RequestError(f"unfreeze_from: no layer of {encoder.name} from '{tap}' on has weights before '{read}'")
    return found


def groups_by_layer(layers: Layers, decay: float, scale: float) -> list[dict[str, Any]]:
    """Optimiser groups with ``lr_scale`` = scale x decay ** (distance from the heads), the last layer at distance 1."""
    count = len(layers)
    return [
        {"params": parameters, "lr_scale": scale * decay ** (count - place)}
        for place, (_, parameters) in enumerate(layers)
    ]


@contextmanager
def dropout_after(encoder: Encoder | None, layers: Sequence[str], rate: float) -> Iterator[None]:
    """Dropout on the output of these layers of the encoder while it trains ("after every layer", section 6).

    Before a ReLU or after it is the same: both let zeros be zeros.
    """
    hooks = []
    if encoder is not None and rate:
        for path, module in encoder.network.named_modules():
            if path.split(".")[-1] in layers:
                hooks.append(module.register_forward_hook(_dropping(rate)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _dropping(rate: float) -> Any:
    def drop(module: nn.Module, given: Any, output: Tensor) -> Tensor:
        return F.dropout(output, rate, training=module.training)

    return drop
