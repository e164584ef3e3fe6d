"""The layers that each face encoder can show, by name, from the first to the last: known without loading a network."""

from __future__ import annotations

from collections.abc import Mapping

from mien.core.errors import RequestError

# FaceNet. Channels x height x width at 160 px: 1a 32x79x79; 2a 32x77x77; 2b 64x77x77; 3b 80x38x38; 4a 192x36x36;
# 4b = stem = block35 256x17x17; mixed_6a = block17 896x8x8; mixed_7a = block8 1792x3x3; pool 1792; embedding 512.
STEM = ("1a", "2a", "2b", "3b", "4a", "4b")
BLOCKS35 = tuple(f"block35_{i}" for i in range(1, 6))
BLOCKS17 = tuple(f"block17_{i}" for i in range(1, 11))
BLOCKS8 = tuple(f"block8_{i}" for i in range(1, 7))
FACENET = (
    *STEM, "stem", *BLOCKS35, "block35", "mixed_6a", *BLOCKS17, "block17", "mixed_7a", *BLOCKS8, "block8",
    "pool", "embedding",
)  # fmt: skip

# VGG-Face. Channels x height x width at 224 px: conv1 64x224x224, pool1 64x112x112; conv2 128x112x112, pool2
# 128x56x56; conv3 256x56x56, pool3 256x28x28; conv4 512x28x28, pool4 512x14x14; conv5 512x14x14, pool5 512x7x7;
# fc6, fc7 4096; fc8 2622.
FULL = ("fc6", "fc7", "fc8")
CONVOLUTIONS = tuple(
    tuple(f"conv{block}_{i}" for i in range(1, count + 1)) for block, count in enumerate((2, 2, 3, 3, 3), 1)
)
VGG_FACE = (*(name for block, names in enumerate(CONVOLUTIONS, 1) for name in (*names, f"pool{block}")), *FULL)

TAPS: Mapping[str, tuple[str, ...]] = {"facenet": FACENET, "vgg-face": VGG_FACE}
INVERTED = {
    "facenet": "block17_10",
    "vgg-face": "conv5_3",
}  # FaceNet: the deepest that still inverts to a face; VGG: conv-5


def check_tap(encoder: str, tap: str, option: str) -> None:
    """``RequestError`` for a layer that the encoder does not show."""
    if tap not in TAPS[encoder]:
        raise RequestError(f"{option}: '{tap}' given; {encoder} has {', '.join(TAPS[encoder])}")
