"""DRAW (Gregor et al., 2015): a pair of recurrent networks, one reads an image in glimpses, one paints it in as many.

For t = 1 ... T, from the canvas c_{t-1} and the state of the decoder (equations 3 to 8):

    x^_t = x - sigmoid(c_{t-1})
    r_t = read(x, x^_t, h_dec_{t-1})
    h_enc_t = RNN_enc(h_enc_{t-1}, [r_t, h_dec_{t-1}, y])
    z_t ~ N(mu(h_enc_t), sigma(h_enc_t))
    h_dec_t = RNN_dec(h_dec_{t-1}, [z_t, y])
    c_t = c_{t-1} + write(h_dec_t)

To generate, z_t is drawn from N(0, 1), and the encoder is left out (equations 13 to 16).

Departures and decisions, each with its reason:

- *y*, the condition, is new: whitened principal coefficients of an image's activations phi(I). It joins DRAW to the
  custom mixture of Cate, Dalvi and Hussain: in their poster's plan the mixture estimates the feature vector of a
  description, and the decoder of the autoencoder constructs the image.
- *Sizes*: Gregor et al. take 32 glimpses, 800 units, 100 codes and patches of 12 x 12 for house numbers (table 3).
  The defaults here keep the patches and cut the rest, for a tenth of the arithmetic: they are meant for a CPU.
- *c_0* and the first states are learned, as printed; c_0 begins at the mean image, so that training begins there.
- *The first variance* of the filters is that of half a stride: with less, the first canvases are a grid of dots.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from mien.core.config import Config
from mien.papers.draw_gregor_2015.attention import Patch, banks, glimpse, painted, patch_of
from mien.papers.draw_gregor_2015.losses import latent

MODEL = "imagine-draw"
CHANNELS = 3


class DrawConfig(Config):
    """Sizes of the networks."""

    size_px: int = Field(default=64, ge=2)  # A = B
    glimpses: int = Field(default=16, ge=1)  # T
    patch_px: int = Field(default=12, ge=1)  # N, of reading and of writing
    hidden: int = Field(default=256, ge=1)  # of each LSTM
    code: int = Field(default=50, ge=1)  # of z_t
    condition: int = Field(default=64, ge=0)  # of y


class Draw(nn.Module):
    """Images (N 3 H W, 0 to 1) and conditions (N ``condition``) -> canvases; or conditions and codes -> canvases."""

    canvas: Tensor

    def __init__(self, config: DrawConfig) -> None:
        super().__init__()
        self.config = config
        side, hidden, patch = config.size_px, config.hidden, CHANNELS * config.patch_px**2
        self.encoder = nn.LSTMCell(2 * patch + hidden + config.condition, hidden)
        self.decoder = nn.LSTMCell(config.code + config.condition, hidden)
        self.to_code = nn.Linear(hidden, 2 * config.code)
        self.to_patch = nn.Linear(hidden, patch)
        self.to_read, self.to_write = nn.Linear(hidden, 5), nn.Linear(hidden, 5)
        self.first_canvas = nn.Parameter(torch.zeros(side, CHANNELS * side))
        self.first_states = nn.Parameter(torch.zeros(4, hidden))
        half_stride = (side - 1) / max(config.patch_px - 1, 1) / 2
        for layer in (self.to_read, self.to_write):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
            with torch.no_grad():
                layer.bias[2] = 2 * math.log(max(half_stride, 0.5))

    def start_from(self, mean: Tensor) -> None:
        """Let c_0 be the image ``mean`` (3 H W, 0 to 1)."""
        with torch.no_grad():
            self.first_canvas.copy_(_rows(torch.logit(mean.clamp(0.02, 0.98))[None])[0])

    def forward(self, image: Tensor, condition: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """(logits N 3 H W of c_T, L^z N) of images; ``noise`` (T N Z) is normal."""
        side = self.config.size_px
        if image.shape[1:] != (CHANNELS, side, side) or condition.shape != (len(image), self.config.condition):
            raise ValueError(f"image {tuple(image.shape)}, condition {tuple(condition.shape)}: want N 3 H W and N Y")
        rows, cost = _rows(image), image.new_zeros(len(image))
        canvas, encoder, decoder = self._begin(len(image))
        for drawn in noise:
            seen = self._read(rows, rows - canvas.sigmoid(), decoder[0])  # N (2 patch)
            encoder = self.encoder(torch.cat([seen, decoder[0], condition], 1), encoder)
            mean, log_deviation = self.to_code(encoder[0]).float().chunk(2, 1)  # N Z
            cost = cost + latent(mean, log_deviation)
            code = mean + log_deviation.exp() * drawn
            decoder = self.decoder(torch.cat([code, condition], 1), decoder)
            canvas = canvas + self._write(decoder[0])
        return _image(canvas, side), cost

    def stages(self, condition: Tensor, codes: Tensor) -> Iterator[Tensor]:
        """The logits of c_1 ... c_T (N 3 H W each) for conditions N Y and codes T N Z, which are normal."""
        canvas, _, decoder = self._begin(len(condition))
        for code in codes:
            decoder = self.decoder(torch.cat([code, condition], 1), decoder)
            canvas = canvas + self._write(decoder[0])
            yield _image(canvas, self.config.size_px)

    def _begin(self, count: int) -> tuple[Tensor, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        states = [state.expand(count, -1) for state in self.first_states]
        return self.first_canvas.expand(count, -1, -1), (states[0], states[1]), (states[2], states[3])

    def _patch(self, layer: nn.Linear, state: Tensor) -> tuple[Patch, Tensor, Tensor]:
        side, grid = self.config.size_px, self.config.patch_px
        with torch.autocast(state.device.type, enabled=False):  # bf16 would move a patch by eighths of a pixel
            patch = patch_of(layer(state.float()), side, side, grid)
            return patch, *banks(patch, side, side, grid)

    def _read(self, rows: Tensor, error: Tensor, state: Tensor) -> Tensor:
        """Equation 27."""
        patch, down, across = self._patch(self.to_read, state)
        seen = [glimpse(part, down, across, CHANNELS).flatten(1) for part in (rows, error)]
        return torch.cat(seen, 1) * patch.strength[:, None]

    def _write(self, state: Tensor) -> Tensor:
        """Equations 28 and 29."""
        patch, down, across = self._patch(self.to_write, state)
        grid = self.config.patch_px
        colours = self.to_patch(state).reshape(-1, grid * CHANNELS, grid)
        return painted(colours, down, across, CHANNELS).float() / patch.strength[:, None, None]


def _rows(image: Tensor) -> Tensor:
    """N 3 H W -> N H (3 W)."""
    return image.permute(0, 2, 1, 3).reshape(len(image), image.shape[2], -1)


def _image(rows: Tensor, side: int) -> Tensor:
    """N H (3 W) -> N 3 H W."""
    return rows.reshape(len(rows), side, CHANNELS, side).permute(0, 2, 1, 3)
