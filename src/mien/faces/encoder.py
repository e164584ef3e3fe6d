"""Face encoders by name: a network that turns faces into features, with a tap at each of its layers.

Each encoder reads the tensor form of ``mien.core.images`` (N 3 H W, RGB, -1 to 1) and applies its own preprocessing, so
that what stands downstream (attribute heads, inversion, perceptual losses) takes any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mien.core import checkpoints, images
from mien.core.errors import RequestError
from mien.core.precision import fast_autocast
from mien.core.records import Float32Array, UInt8Image
from mien.faces.align import encoder_window
from mien.pretrained import facenet, vggface
from mien.pretrained.registry import weights_path
from mien.pretrained.taps import FACENET, VGG_FACE


class Encoder(Protocol):
    """What every face encoder promises. It is differentiable to its input, and frozen until asked otherwise."""

    @property
    def name(self) -> str:
        """The name it was loaded by."""

    @property
    def input_size(self) -> int:
        """Height and width in px of the face crops that it was trained on."""

    @property
    def taps(self) -> tuple[str, ...]:
        """The layers it can show, from the first to the last."""

    @property
    def network(self) -> torch.nn.Module:
        """The module itself: to move, to fine-tune from a layer on, to save."""

    def __call__(self, tensor: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        """Activations at ``taps`` of ``tensor`` (N 3 H W, RGB, -1 to 1); nothing after the last is computed."""


class FaceNetEncoder:
    """FaceNet (``mien.pretrained.facenet``) behind the contract of ``Encoder``."""

    name = "facenet"
    input_size = facenet.INPUT_SIZE
    taps = FACENET
    usual: tuple[str, ...] = ("embedding",)  # taps where none are named
    prepared = staticmethod(images.to_facenet)

    def __init__(self, network: torch.nn.Module) -> None:
        self.network = network

    def __call__(self, tensor: Tensor, taps: Sequence[str] | None = None) -> dict[str, Tensor]:
        ready = self.prepared(tensor).contiguous(memory_format=torch.channels_last)
        found: dict[str, Tensor] = self.network(ready, taps or self.usual)
        return found


class VggFaceEncoder(FaceNetEncoder):
    """VGG-Face (``mien.pretrained.vggface``) behind the contract of ``Encoder``; the user adds its weights."""

    name = "vgg-face"
    input_size = vggface.PUBLISHED.input_size
    taps = VGG_FACE
    usual = ("fc7",)
    prepared = staticmethod(images.to_vggface)

    def __init__(self, network: vggface.VggFace) -> None:
        super().__init__(network)
        self.input_size = network.widths.input_size


def _load(build: Callable[[], Any], encoder: Callable[[Any], Encoder], name: str, device: torch.device) -> Encoder:
    tensors, _ = checkpoints.load_weights(weights_path(name), model=name)
    network = checkpoints.built(build, tensors, name=name)
    return encoder(network.to(device).to(memory_format=torch.channels_last))


def encoded(
    encoder: Encoder,
    crops: UInt8Image,
    tap: str,
    *,
    rows: int = 32,
    fast: bool = False,
    on_advance: Callable[[int], None] = lambda done: None,
) -> Float32Array:
    """Aligned crops (N S S 3) -> activations at ``tap`` (N ...), ``rows`` at a time.

    ``fast``: in bf16 where that is faster, as training reads them; judges read in fp32. ``advance`` is told how many
    more are done.
    """
    parts = []
    for start in range(0, len(crops), rows):
        shown = images.to_tensor(np.ascontiguousarray(crops[start : start + rows]))
        with torch.inference_mode(), fast_autocast() if fast else nullcontext():
            parts.append(encoder(encoder_window(shown, encoder.input_size), [tap])[tap].float().numpy())
        on_advance(len(parts[-1]))
    return np.concatenate(parts)


@torch.inference_mode()
def who(encoder: Encoder, crops: Tensor) -> tuple[Float32Array, Float32Array]:
    """Aligned crops (N 3 S S, -1 to 1) -> pooled features (N F) and embeddings (N D) of FaceNet: who is on them."""
    found = encoder(encoder_window(crops, encoder.input_size), ["pool", "embedding"])
    return found["pool"].float().numpy(), found["embedding"].float().numpy()


_ENCODERS: dict[str, Callable[[torch.device], Encoder]] = {
    "facenet": partial(_load, facenet.InceptionResnetV1, FaceNetEncoder, "facenet"),
    "vgg-face": partial(_load, lambda: vggface.VggFace(vggface.PUBLISHED), VggFaceEncoder, "vgg-face"),
}
ENCODERS = tuple(_ENCODERS)


def load_encoder(name: str = "facenet", device: str | torch.device = "cpu") -> Encoder:
    """The encoder called ``name`` on ``device``, frozen and in evaluation mode.

    Raises ``RequestError`` (with the list) for an unknown name and ``WeightsError`` when it has not been fetched
    (``vgg-face``: added, ``mien models add vgg-face FILE``).
    """
    if name not in _ENCODERS:
        raise RequestError(f"no face encoder is called '{name}'; allowed: {', '.join(ENCODERS)}")
    return _ENCODERS[name](torch.device(device))
