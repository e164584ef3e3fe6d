"""What every preset of `portrait` promises: aligned crop -> features -> picture and mask, all float tensors."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from mien.faces.readers import FaceReaders


class PortraitDrawer(Protocol):
    """A network that draws portraits (``generators/portrait/mien``, ``papers/frontal_wang_2019``)."""

    @property
    def name(self) -> str:
        """For example ``portrait-mien``; goes into manifests."""

    @property
    def size_px(self) -> int:
        """Height and width of the pictures where nothing else is asked for."""

    def version_at(self, size_px: int | None, /) -> str:
        """Changes whenever the same photo gives another picture of this size."""

    def encode(self, crop: Tensor, readers: FaceReaders, /) -> tuple[Tensor, Tensor]:
        """Aligned crop (1 3 S S, -1 to 1) -> the features to draw from (1 F), and its embedding (1 512)."""

    def render(self, features: Tensor, readers: FaceReaders, size_px: int | None, /) -> tuple[Tensor, Tensor]:
        """Features (N F) -> pictures (N 3 T T, -1 to 1) and masks (N 1 T T, 0 background to 1 person).

        Faces at once take less time than one by one; a picture depends on those beside it by rounding only.
        T is what the preset draws nearest to ``size_px``; ``None``: its own size.
        """

    def as_read(self, crop: Tensor, readers: FaceReaders, /) -> Tensor | None:
        """The picture (1 3 T T) of an aligned crop before it is made neutral; ``None``: there is no such thing."""
