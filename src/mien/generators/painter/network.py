"""The network of the painter: a transformer over patch tokens that predicts the clean picture from a noisy one.

Representation-conditioned generation (Li, Katabi and He, *Return of Unconditional Generation*, 2024): a code of a face
encoder says who it is, a flow paints what the code leaves open. The network predicts the clean tokens (Li and He, *Back
to Basics: Let Denoising Generative Models Denoise*, 2025). Blocks: normalised queries and keys, SwiGLU, one modulation
layer shared by all blocks plus a learned table a block (Chen et al., *PixArt*, 2023).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from mien.core.config import Config

FREQUENCIES = 32
FASTEST = 1000.0  # radians for a time of 1
PLACE_WIDTH, PLACE_HIDDEN = 48, 256
PARTS = 6  # shift, scale and gate of attention and of the feed-forward layer


class PainterConfig(Config):
    """Sizes of the network."""

    size_px: int = 128
    patch_px: int = 16
    channels: int = 96  # numbers a token
    code: int = 320  # principal coefficients of the encoder's features
    conditions: int = 30
    sources: int = 10  # looks: where a photograph comes from
    width: int = 288
    depth: int = 10
    heads: int = 6
    hidden: int = 720
    code_tokens: int = 4

    @property
    def tokens(self) -> int:
        """How many tokens a picture has."""
        return (self.size_px // self.patch_px) ** 2


@dataclass(frozen=True, slots=True)
class Given:
    """What is known of N pictures. Each ``known`` is 1 or 0; what is not known is left open to the network."""

    code: Tensor  # N K, of unit variance
    code_known: Tensor  # N 1
    code_noise: Tensor  # N 1: deviation of the noise that was laid over the code
    conditions: Tensor  # N Q, standardised
    conditions_known: Tensor  # N Q
    source: Tensor  # N, int64; ``PainterConfig.sources`` is "unknown"
    valid: Tensor  # N T: share of each patch that lies inside the photograph
    valid_known: Tensor  # N 1

    def to(self, device: torch.device) -> Given:
        """The same on another device."""
        return Given(*(getattr(self, field.name).to(device) for field in fields(self)))

    @classmethod
    def concatenated(cls, parts: Sequence[Given]) -> Given:
        """What is known of the pictures of each part, one part after the other."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))


class PainterBlock(nn.Module):
    """Attention and a gated feed-forward layer, both modulated: N T D -> N T D."""

    def __init__(self, config: PainterConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.hidden
        self.heads = config.heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.query_norm = nn.RMSNorm(width // config.heads, eps=1e-6)
        self.key_norm = nn.RMSNorm(width // config.heads, eps=1e-6)
        self.up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.table = nn.Parameter(torch.zeros(PARTS, width))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        scale1, shift1, gate1, scale2, shift2, gate2 = (modulation + self.table).unsqueeze(2).unbind(1)  # N 1 D each
        count, tokens, width = x.shape
        y = functional.layer_norm(x, (width,)) * (1 + scale1) + shift1
        query, key, value = self.qkv(y).view(count, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # N H T D/H
        seen = functional.scaled_dot_product_attention(self.query_norm(query), self.key_norm(key), value)
        x = x + gate1 * self.out(seen.transpose(1, 2).reshape(count, tokens, width))
        y = functional.layer_norm(x, (width,)) * (1 + scale2) + shift2
        gate, inner = self.up(y).chunk(2, -1)
        result: Tensor = x + gate2 * self.down(functional.silu(gate) * inner)
        return result


class Painter(nn.Module):
    """Noisy tokens (N T C) at time t (N; 0 noise, 1 clean) and what is known -> the clean tokens (N T C)."""

    def __init__(self, config: PainterConfig) -> None:
        super().__init__()
        self.config = config
        width, tokens = config.width, config.tokens
        self.tokens_in = nn.Linear(config.channels, width)
        self.position = nn.Parameter(0.02 * torch.randn(tokens + config.code_tokens + 1, width))
        self.time = nn.Sequential(nn.Linear(2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.code = nn.Linear(config.code + 1, width)
        self.code_tokens = nn.Linear(config.code, config.code_tokens * width)
        self.place = nn.Sequential(
            nn.Linear(config.code, PLACE_HIDDEN), nn.SiLU(), nn.Linear(PLACE_HIDDEN, tokens * PLACE_WIDTH)
        )
        self.place_in = nn.Linear(PLACE_WIDTH, width, bias=False)
        self.code_noise = nn.Linear(1, width)
        self.conditions = nn.Sequential(nn.Linear(2 * config.conditions, width), nn.SiLU(), nn.Linear(width, width))
        self.condition_token = nn.Linear(width, width)
        self.source = nn.Embedding(config.sources + 1, width)  # the last: unknown
        self.valid = nn.Linear(2, width, bias=False)
        self.modulation = nn.Linear(width, PARTS * width)
        self.blocks = nn.ModuleList(PainterBlock(config) for _ in range(config.depth))
        self.last = nn.Linear(width, 2 * width)
        self.tokens_out = nn.Linear(width, config.channels)
        for layer in (self.modulation, self.last):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.tokens_out.weight)
        with torch.no_grad():  # gates begin open: the blocks' last layers begin at zero
            self.modulation.bias[2 * width : 3 * width] = 1
            self.modulation.bias[5 * width :] = 1

    def forward(self, noisy: Tensor, time: Tensor, given: Given) -> Tensor:
        config, count = self.config, len(noisy)
        rates = torch.exp(torch.linspace(0, math.log(FASTEST), FREQUENCIES, device=noisy.device))
        angles = time[:, None] * rates
        code = given.code * given.code_known
        known = given.conditions_known
        about = self.conditions(torch.cat([given.conditions * known, known], 1)) + self.source(given.source)  # N D
        state = (
            self.time(torch.cat([angles.sin(), angles.cos()], 1))
            + self.code(torch.cat([code, given.code_known], 1))
            + about
            + self.code_noise(given.code_noise * given.code_known)
        )
        modulation = self.modulation(functional.silu(state)).view(count, PARTS, -1)
        valid = torch.stack([given.valid * given.valid_known, given.valid_known.expand_as(given.valid)], 2)  # N T 2
        places = self.place_in(self.place(code).view(count, config.tokens, PLACE_WIDTH)) * given.code_known[:, None]
        tokens = self.tokens_in(noisy) + self.valid(valid) + places  # N T D
        extra = self.code_tokens(code).view(count, config.code_tokens, -1)
        x = torch.cat([tokens, extra, self.condition_token(about)[:, None]], 1) + self.position
        for block in self.blocks:
            x = block(x, modulation)
        scale, shift = self.last(functional.silu(state))[:, None].chunk(2, 2)
        x = functional.layer_norm(x[:, : config.tokens], (config.width,)) * (1 + scale) + shift
        clean: Tensor = self.tokens_out(x)
        return clean
