"""VGG-Face: the 16-layer network of Parkhi, Vedaldi, Zisserman, *Deep Face Recognition* (BMVC 2015), table 3, as a
differentiable torch module. Its published weights are read by ``mien.pretrained.vggface_files``.

13 convolutions (3 x 3, padding 1) in five blocks, each block ended by a 2 x 2 max pool of stride 2, then three fully
connected layers. Every layer but the last has a ReLU. The paper trains with dropout after fc6 and fc7; the encoder is
in evaluation mode, where dropout is the identity, so it has none.

Input: N 3 H W, RGB, 0 to 255 minus the mean colour (``mien.core.images.to_vggface``), 224 x 224. Up to ``pool5`` any
H, W >= 32 works; fc6 has one weight for every place of pool5, so it and what follows need exactly 224.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.core.errors import RequestError
from mien.pretrained.taps import CONVOLUTIONS, FULL, VGG_FACE

MINIMUM_SIZE = 32  # px: pool5 is then 1 x 1


@dataclass(frozen=True, slots=True)
class Widths:
    """How wide each layer is; the defaults are the paper's. Tests use narrower ones."""

    blocks: tuple[int, int, int, int, int] = (64, 128, 256, 512, 512)  # channels of the convolutions of each block
    hidden: int = 4096  # fc6, fc7
    people: int = 2622  # fc8
    input_size: int = 224  # px, a multiple of 32

    @property
    def pooled(self) -> int:
        """Numbers in pool5 at the input size."""
        return self.blocks[-1] * (self.input_size // 32) ** 2


PUBLISHED = Widths()


class VggFace(nn.Module):
    """The encoder. Frozen (no parameter asks for a gradient) and in evaluation mode when made; gradients flow to x."""

    def __init__(self, widths: Widths = PUBLISHED) -> None:
        super().__init__()
        self.widths = widths
        inputs = 3
        for names, outputs in zip(CONVOLUTIONS, widths.blocks, strict=True):
            for name in names:
                self.add_module(name, nn.Conv2d(inputs, outputs, 3, padding=1))
                inputs = outputs
        sizes = (widths.pooled, widths.hidden, widths.hidden, widths.people)
        for name, given, made in zip(FULL, sizes, sizes[1:], strict=False):
            self.add_module(name, nn.Linear(given, made))
        self.requires_grad_(False)
        self.eval()

    def stages(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """(tap, activation) from the first to the last, each computed when it is asked for."""
        for block, names in enumerate(CONVOLUTIONS, 1):
            for name in names:
                x = F.relu(self.get_submodule(name)(x), inplace=True)  # N C H W
                yield name, x
            x = F.max_pool2d(x, 2)  # N C H/2 W/2
            yield f"pool{block}", x
        # Sums over 25,088 values are worth float32 even under autocast; the time goes into reading the weights anyway.
        # (Switched off layer by layer: a generator must not leave a caller's autocast changed while it waits.)
        kept: torch.dtype = next(self.parameters()).dtype
        x = x.to(kept).flatten(1)  # N C*H*W: channel by channel, row by row, as the published weights have it
        for name in FULL:
            with torch.autocast(x.device.type, enabled=False):
                x = self.get_submodule(name)(x)
                if name != FULL[-1]:
                    x = F.relu(x, inplace=True)
            yield name, x

    def forward(self, x: Tensor, taps: Sequence[str] = ("fc7",)) -> dict[str, Tensor]:
        """Activations at ``taps`` (names of ``VGG_FACE``), in that order; nothing after the last of them is computed.

        ``x``: N 3 H W, RGB, 0 to 255 minus the mean colour, H and W at least 32, and exactly the input size (224) if
        one of the taps is a fully connected layer. ``conv`` and ``pool`` taps are N C H' W' after their ReLU, in the
        dtype of the computation; ``fc6`` and ``fc7`` (N 4096, after their ReLU, as the paper uses them) and ``fc8``
        (N 2622, scores of the people of the training set, before the softmax) are float32. Raises ``RequestError`` for
        an unknown tap or another shape.
        """
        unknown = [tap for tap in taps if tap not in VGG_FACE]
        if unknown:
            raise RequestError(f"VGG-Face has no tap {', '.join(map(repr, unknown))}; allowed: {', '.join(VGG_FACE)}")
        size = self.widths.input_size
        if x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < MINIMUM_SIZE:
            raise RequestError(
                f"VGG-Face reads N 3 H W with H, W >= {MINIMUM_SIZE}, given {' '.join(map(str, x.shape))}"
            )
        full = [tap for tap in taps if tap in FULL]
        if full and tuple(x.shape[2:]) != (size, size):
            given = f"{x.shape[2]} x {x.shape[3]}"
            raise RequestError(f"{full[0]} of VGG-Face needs {size} x {size} px, given {given}; up to pool5 any size")
        wanted = set(taps)
        found: dict[str, Tensor] = {}
        if wanted:
            for name, value in self.stages(x):
                if name in wanted:
                    found[name] = value
                    if len(found) == len(wanted):
                        break
        return {tap: found[tap] for tap in taps}
