"""Muon: momentum whose updates are made orthogonal, for matrices; AdamW for everything else.

Jordan et al., *Muon: An optimizer for hidden layers in neural networks* (2024); the five polynomials are those of
*The Polar Express* (Amsel et al., 2025), which need not reach 1 exactly. Products stay in fp32: a CPU without bf16
units has nothing to win by less. A stack of matrices (a layer that holds several side by side) is split first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor, nn

POLYNOMIALS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices (B m n) -> nearly orthogonal ones with the same singular vectors, singular values near 1."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for linear, cubic, quintic in POLYNOMIALS:
        square = x @ x.mT
        x = linear * x + (cubic * square + quintic * square @ square) @ x
    result: Tensor = x.mT if tall else x
    return result


class Muon(torch.optim.Optimizer):
    """``matrices``: (parameter, into how many matrices it is split along its first axis). ``others`` go to AdamW.

    ``lr`` is that of the matrices (0.02 is usual); the others have ``lr * other_share``.
    """

    def __init__(
        self,
        matrices: Iterable[tuple[nn.Parameter, int]],
        others: Iterable[nn.Parameter],
        *,
        lr: float = 0.02,
        other_share: float = 0.075,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        weight_decay: float = 0.01,
        epsilon: float = 1e-8,
    ) -> None:
        pairs = list(matrices)
        shared = {"momentum": momentum, "betas": betas, "weight_decay": weight_decay, "epsilon": epsilon}
        groups: list[dict[str, Any]] = [
            {"params": [p for p, parts in pairs if parts == count], "parts": count, "lr_scale": 1.0}
            for count in sorted({parts for _, parts in pairs})
        ]
        groups.append({"params": list(others), "parts": 0, "lr_scale": other_share})
        super().__init__(groups, {"lr": lr, **shared})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update. The rate of each group is the caller's ``lr`` (times ``lr_scale``, if the caller does that)."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            members = [p for p in group["params"] if p.grad is not None]
            if group["parts"] == 0:
                self._adamw(group, members)
            else:
                self._muon(group, members)
        return loss

    def _muon(self, group: dict[str, Any], members: list[Tensor]) -> None:
        waiting: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = {}  # shape -> (part of a weight, its direction)
        for parameter in members:
            gradient = parameter.grad
            assert gradient is not None
            state = self.state[parameter]
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
            average = state["momentum"].lerp_(gradient, 1 - group["momentum"])
            ahead = gradient.lerp(average, group["momentum"])  # Nesterov
            for part, direction in zip(parameter.chunk(group["parts"]), ahead.chunk(group["parts"]), strict=True):
                waiting.setdefault(tuple(part.shape), []).append((part, direction))
        for (rows, columns), entries in waiting.items():
            updates = orthogonal(torch.stack([direction for _, direction in entries]))
            rate = group["lr"] * max(1.0, rows / columns) ** 0.5
            for (part, _), update in zip(entries, updates, strict=True):
                part.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)

    def _adamw(self, group: dict[str, Any], members: list[Tensor]) -> None:
        first, second = group["betas"]
        for parameter in members:
            gradient = parameter.grad
            assert gradient is not None
            state = self.state[parameter]
            if not state:
                state["step"] = torch.zeros(())
                state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
            state["step"] += 1
            count = float(state["step"])
            state["mean"].lerp_(gradient, 1 - first)
            state["square"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
            size = (state["square"] / (1 - second**count)).sqrt_().add_(group["epsilon"])
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.addcdiv_(state["mean"], size, value=-group["lr"] / (1 - first**count))
