"""One seed -> one random generator per thing.

Face k of seed s is the same whatever the count, the batch size or the device count, because it draws from
``sample_generator(s, k)`` and from nothing else. Batch k of a training run draws from ``stream(s, "batches", k)``.
"""

from __future__ import annotations

import hashlib
import operator
import secrets

import numpy as np

SEED_LIMIT = 2**63


def fresh_seed() -> int:
    """A seed that nobody asked for, in [0, 2**31): draw it once, use it, write it down."""
    return secrets.randbelow(2**31)


def _key(*words: int | str) -> list[int]:
    # A numpy integer or a bool is the int that it equals; 1 and "1" stay apart.
    text = "\x1f".join(f"str:{word}" if isinstance(word, str) else f"int:{operator.index(word):d}" for word in words)
    digest = hashlib.sha256(text.encode()).digest()
    return [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 32, 4)]


def stream(seed: int, *words: int | str) -> np.random.Generator:
    """An independent generator for (seed, words): the same on every platform, thread count and numpy build."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(_key(seed, *words))))


def sample_generator(seed: int, index: int) -> np.random.Generator:
    """The generator of sample ``index`` under ``seed``."""
    return stream(seed, "sample", index)


def torch_seed(seed: int, *words: int | str) -> int:
    """A 63-bit seed for ``torch.Generator.manual_seed`` that belongs to (seed, words)."""
    return int.from_bytes(hashlib.sha256(repr(_key(seed, *words)).encode()).digest()[:8], "little") % SEED_LIMIT
