"""What a decoder learns from: pairs of encoder features and pictures, as a pure function of (seed, step)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.core.errors import DatasetError
from mien.core.progress import OnStage, silent
from mien.core.records import Float32Array, UInt8Image
from mien.core.seeding import stream
from mien.datasets.batches import FaceDataset, Rows
from mien.datasets.catalog import CatalogRow
from mien.datasets.features import TIGHT_LIKE, Frames, features
from mien.faces.encoder import Encoder


@dataclass(frozen=True, slots=True)
class Views:
    """N views in one order: which crop, shown as it is or as if cut tightly, and the features of what is shown."""

    data: FaceDataset
    frames: Frames | None  # None: nothing is shown as if cut tightly
    size_px: int
    rows: Rows  # N: row of the dataset
    tight: npt.NDArray[np.bool_]  # N: shown mirrored left to right and cut tightly
    features: npt.NDArray[np.float16]  # N F

    def __len__(self) -> int:
        return len(self.rows)

    def face(self, place: int) -> CatalogRow:
        """The face of a view."""
        return self.data.faces[int(self.rows[place])]

    def order(self, place: int) -> int:
        """0: of a tightly cut source; 1: shown as if cut so; 2: loose."""
        return 1 if self.tight[place] else 0 if self.face(place).source == TIGHT_LIKE else 2

    def shown(self, places: Rows) -> UInt8Image:
        """What the encoder saw: N S S 3."""
        pixels = self.data.pixels(self.size_px)
        return np.stack([self.pictures(int(place), pixels)[0] for place in places])

    def pictures(self, place: int, pixels: npt.NDArray[np.uint8]) -> tuple[UInt8Image, UInt8Image, Float32Array]:
        """(what the encoder saw, what is wanted, 1 where the wanted picture is known): S S 3, S S 3, S S."""
        row = int(self.rows[place])
        crop = np.ascontiguousarray(pixels[row])
        if self.frames is None or not self.tight[place]:
            return crop, crop, self.data.mask(row, self.size_px)
        wanted = np.ascontiguousarray(crop[:, ::-1])
        mask = np.ascontiguousarray(self.data.mask(row, self.size_px)[:, ::-1])
        return self.frames.cut(crop, self.data.faces[row].id), wanted, mask

    def borders(self, place: int) -> tuple[Float32Array, Float32Array]:
        """How the borders of (what the encoder saw, what is wanted) are mirrored: S S 2, as ``align.mirrored_from``."""
        row = int(self.rows[place])
        own = self.data.mirrored_from(row, self.size_px)
        if self.frames is None or not self.tight[place]:
            return own, own
        flipped = own[:, ::-1] * np.array([-1, 1], np.float32) + np.array([self.size_px - 1, 0], np.float32)
        return self.frames.cut_from(self.size_px, self.data.faces[row].id), np.ascontiguousarray(flipped)


def decoder_views(
    data: FaceDataset,
    encoder: Encoder,
    split: str,
    size_px: int,
    *,
    loose: tuple[str, ...] = ("lfw",),
    on_stage: OnStage = silent,
) -> Views:
    """Plain views of every face of ``split``, and tight views of its loosely cut sources ``loose``.

    Where DEST has no tightly cut source, whose frames are wanted for tight views, all views are plain. ``on_stage``
    gets a word for each piece of work and returns what is told of it. ``DatasetError``: no face in ``split``.
    """
    plain = data.rows(split)
    if not len(plain):
        raise DatasetError(f"{data.dest}: no face in the split '{split}'; a larger dataset is wanted")
    frames = Frames.of(data) if len(data.rows("train", TIGHT_LIKE)) else None
    sources = loose if frames is not None else ()
    loosely = np.concatenate([np.zeros(0, np.int64), *(data.rows(split, source) for source in sources)])
    data.pixels(size_px, on_stage("crops"))
    values = [features(data, encoder, plain, view="plain", on_progress=on_stage("features"))]
    if len(loosely):
        values.append(features(data, encoder, loosely, view="tight", on_progress=on_stage("features, cut tightly")))
    rows = np.concatenate([plain, loosely])
    tight = np.arange(len(rows)) >= len(plain)
    return Views(data, frames, size_px, rows, tight, np.concatenate(values))


def view_batches(views: Views, batch_size: int, seed: int) -> Callable[[int], dict[str, Any]]:
    """``batch_at(step)``: ``wanted`` and ``shown`` (N S S 3 uint8), ``mask`` (N 1 S S), ``features`` (N F float32), and
    how the borders of both pictures are mirrored, ``shown_from`` and ``wanted_from`` (N S S 2, in pixels).

    Every epoch is one permutation of the views. In a batch views with tight frames come first, so that neighbours are
    mostly of one kind. ``shared`` is an empty dict for what two phases of one step share.
    """
    pixels = views.data.pixels(views.size_px)

    def batch_at(step: int) -> dict[str, Any]:
        places = epoch_places(len(views), step * batch_size, batch_size, seed)
        places = places[np.argsort([views.order(int(place)) for place in places], kind="stable")]
        borders = [views.borders(int(place)) for place in places]
        triples = [views.pictures(int(place), pixels) for place in places]
        return {
            "shown": np.stack([shown for shown, _, _ in triples]),
            "wanted": np.stack([wanted for _, wanted, _ in triples]),
            "mask": np.stack([mask for _, _, mask in triples])[:, None],
            "features": views.features[places].astype(np.float32),
            "shown_from": np.stack([shown for shown, _ in borders]),
            "wanted_from": np.stack([wanted for _, wanted in borders]),
            "shared": {},
        }

    return batch_at


def epoch_places(count: int, first: int, size: int, seed: int) -> Rows:
    """Places ``first`` to ``first + size`` of an endless run of permutations of ``count``."""
    found: list[Rows] = []
    while size > 0:
        epoch, start = divmod(first, count)
        part = stream(seed, "epoch", epoch).permutation(count)[start : start + size]
        found.append(part.astype(np.int64))
        first, size = first + len(part), size - len(part)
    return np.concatenate(found)
