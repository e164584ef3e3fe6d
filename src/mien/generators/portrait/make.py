"""Photo -> faces -> portraits: the whole way, as `mien portrait` and other callers go it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from torch import Tensor

from mien.core.checkpoints import WEIGHTS
from mien.core.errors import PhotoError, RequestError, WeightsError
from mien.core.images import read_photo, resize, to_photos, to_tensor
from mien.core.records import Face, Float32Array, Pose, UInt8Image
from mien.faces import align
from mien.faces.dlib_resnet import SAME_PERSON, DlibResNet, dlib_crop
from mien.faces.encoder import Encoder, load_encoder
from mien.faces.find import FaceFinder
from mien.faces.landmarks import INPUT_PX, mesh_points
from mien.faces.pose import pose
from mien.generators.enlarged import packaged_enlarger
from mien.generators.enlarger import FACTOR, Enlarger
from mien.generators.portrait import silhouette
from mien.generators.portrait.mien import MienPortrait
from mien.generators.portrait.refine import Readers, RefineConfig
from mien.papers.frontal_wang_2019.networks import PaperPortrait

PRESETS = ("mien", "paper")
SEEN = ("pool", "embedding")
CROP_PX = 256
SAME_BY_ENCODER = 0.436  # cosine of FaceNet's embeddings of aligned crops, at equal error on LFW
FAR_TURNED_DEGREES = 45.0
FEW_PX = 30.0  # between the outer corners of the eyes, in the photo


@dataclass(frozen=True, slots=True)
class Portrait:
    """One portrait and what is known of it. Images are S S 3, the mask S S in [0, 1]: 1 person."""

    face: Face
    crop: UInt8Image  # the aligned crop that was read, CROP_PX
    drawn: UInt8Image  # as the decoder drew it, before the mask
    mask: Float32Array
    pose_before: Pose
    pose_after: Pose | None  # None: the mesh sees no face in it
    similarity: float  # cosine of FaceNet's embeddings of the photo's face and the portrait
    distance: float | None  # dlib's, which had no part in training: one person under SAME_PERSON; None: not fetched
    warnings: tuple[str, ...]
    model_version: str  # of all networks that made it

    def on(self, colour: tuple[int, int, int]) -> UInt8Image:
        """The portrait on a plain colour (RGB, 0 to 255)."""
        return silhouette.over(self.drawn, self.mask, colour)


class PortraitMaker:
    """Makes portraits of photos; networks are loaded once."""

    def __init__(
        self,
        preset: str,
        drawer: MienPortrait | PaperPortrait,
        encoder: Encoder,
        finder: FaceFinder,
        enlarger: Enlarger | None = None,
        refine: RefineConfig | None = None,
    ) -> None:
        self.preset, self.drawer, self.encoder, self.finder = preset, drawer, encoder, finder
        self.enlarger = enlarger
        self.refine = refine or RefineConfig()

    @classmethod
    def load(
        cls, preset: str = "mien", *, weights: str | os.PathLike[str] | None = None, refine: RefineConfig | None = None
    ) -> Self:
        """``weights``: a file of ``mien train portrait`` instead of the packaged one (``paper`` has none).

        ``refine``: how far portraits of preset ``mien`` are drawn again to look like the person; no steps, not at all.
        """
        if preset not in PRESETS:
            raise RequestError(f"preset: '{preset}' given; allowed: {', '.join(PRESETS)}")
        path = weights or WEIGHTS / f"portrait-{preset}.safetensors"
        drawer = MienPortrait.load(path) if preset == "mien" else PaperPortrait.load(path)
        enlarger = packaged_enlarger() if preset == "mien" else None
        return cls(preset, drawer, load_encoder("facenet"), FaceFinder.load(), enlarger, refine)

    @property
    def size_px(self) -> int:
        """Height and width of the portraits where nothing else is asked for."""
        return self.drawer.size_px * (1 if self.enlarger is None else FACTOR)

    def model_version(self, size_px: int | None = None) -> str:
        """The version of what makes portraits of this size: small ones are not enlarged.

        How often portraits are drawn again is part of it: other steps, another picture.
        """
        larger = self._larger(size_px)
        again = f"+refined-{self.refine.steps}" if isinstance(self.drawer, MienPortrait) and self.refine.steps else ""
        return self.drawer.version + again + ("" if larger is None else f"+{larger.version}")

    @cached_property
    def judge(self) -> DlibResNet | None:
        """dlib's network, where it was fetched."""
        try:
            return DlibResNet.load()
        except WeightsError:
            return None

    def faces(self, photo: UInt8Image, *, largest: bool = False) -> list[Face]:
        """The faces of a photo, largest first: all (looked for in parts of the photo, too), or the largest."""
        found = self.finder.faces([photo], thorough=not largest)[0]
        if largest and not found:  # too small for a look at the whole photo
            found = self.finder.faces([photo], thorough=True)[0]
        return found[:1] if largest else found

    def make(
        self, photo: UInt8Image | str | os.PathLike[str], *, largest: bool = False, size_px: int | None = None
    ) -> list[Portrait]:
        """The portraits of all faces of a photo (H W 3 uint8 RGB, or a path), largest first; none where there is none.

        Raises ``PhotoError`` for a file that cannot be read.
        """
        shown = photo if isinstance(photo, np.ndarray) else read_photo(photo)
        return [self.portrait(shown, face, size_px) for face in self.faces(shown, largest=largest)]

    def of_crop(self, crop: UInt8Image) -> tuple[UInt8Image, Float32Array]:
        """Aligned crop (S S 3) -> what is drawn (T T 3) and the mask (T T in [0, 1]), as ``portrait``, unjudged."""
        return self._draw(to_tensor(crop), self._seen(to_tensor(crop)), self._larger(None))

    def as_read(self, crop: UInt8Image) -> UInt8Image | None:
        """Aligned crop (S S 3) -> the decoder's picture of it before it is made neutral; ``None``: no such thing."""
        if not isinstance(self.drawer, MienPortrait):
            return None
        drawn = self.drawer.draw(self._read(to_tensor(crop), ("pool",))["pool"], neutral=False)
        larger: UInt8Image = (drawn if self.enlarger is None else self.enlarger.enlarge(drawn))[0]
        return larger

    def portrait(self, photo: UInt8Image, face: Face, size_px: int | None = None) -> Portrait:
        """The portrait of one face of a photo, ``size_px`` high and wide (``None``: 256).

        Raises ``PhotoError`` for landmarks that do not span a face.
        """
        crop = align.warp(photo, align.crop_transform(face.mesh, CROP_PX), CROP_PX)
        seen = self._seen(to_tensor(crop))
        drawn, mask = self._draw(to_tensor(crop), seen, self._larger(size_px))
        size = size_px or drawn.shape[0]
        if drawn.shape[0] != size:
            drawn = resize(drawn, size, size)
            mask = np.asarray(align.window(torch.from_numpy(mask)[None, None], 0.0, 0.0, 1.0, size)[0, 0].numpy())
        return self._judged(face, crop, drawn, mask, seen["embedding"][:1], self.model_version(size_px))

    def _larger(self, size_px: int | None) -> Enlarger | None:
        """What enlarges portraits of this size; ``None``: they are as the decoder draws them, or smaller."""
        return None if size_px is not None and size_px <= self.drawer.size_px else self.enlarger

    def _seen(self, crop: Tensor) -> dict[str, Tensor]:
        """What the encoder reads of a crop (1 3 S S), preset ``mien``: and, second, of its mirror image."""
        both = torch.cat([crop, crop.flip(3)]) if isinstance(self.drawer, MienPortrait) else crop
        return self._read(both, SEEN)

    def _draw(
        self, crop: Tensor, seen: dict[str, Tensor], enlarger: Enlarger | None
    ) -> tuple[UInt8Image, Float32Array]:
        if isinstance(self.drawer, MienPortrait):
            readers = Readers(self.encoder, self.finder.mesh)
            person = self.drawer.person(seen["pool"].mean(0, keepdim=True))
            drawn = self.drawer.draw_refined(person, self._embedded(person), readers, self.refine)
            shown: UInt8Image = (drawn if enlarger is None else enlarger.enlarge(drawn))[0]
            return shown, silhouette.person_mask(shown)
        loose = self.encoder(align.window(crop, 0.0, 0.0, 1.0, self.encoder.input_size), ["pool"])["pool"]
        made = self.drawer.draw(loose)
        return to_photos(made.noisy)[0], np.asarray(made.mask[0, 0].numpy(), np.float32)

    @torch.no_grad()
    def _embedded(self, pooled: Tensor) -> Tensor:
        """The embedding (N 512) that the encoder makes of pooled features (N 1792), those of no photo, too."""
        embed: Callable[[Tensor], Tensor] = self.encoder.network.embed  # type: ignore[assignment]
        return embed(pooled)

    @torch.inference_mode()
    def _read(self, crops: Tensor, taps: tuple[str, ...]) -> dict[str, Tensor]:
        return self.encoder(align.encoder_window(crops, self.encoder.input_size), taps)

    @torch.inference_mode()
    def _judged(
        self, face: Face, crop: UInt8Image, drawn: UInt8Image, mask: Float32Array, before: Tensor, version: str
    ) -> Portrait:
        shown = to_tensor(silhouette.over(drawn, mask, (255, 255, 255)))
        similarity = float((self._read(shown, ("embedding",))["embedding"] * before).sum())
        distance = None
        if self.judge is not None:
            both = torch.cat([dlib_crop(to_tensor(crop)), dlib_crop(shown)])
            codes = self.judge(both)["embedding"]
            distance = float((codes[0] - codes[1]).norm())
        points = mesh_points(self.finder.mesh, align.window(shown, 0.0, 0.0, 1.0, INPUT_PX))[0].numpy()
        try:
            after = pose(points)
        except PhotoError:
            after = None
        start = pose(face.mesh)
        warnings = tuple(_warnings(face, start, similarity, distance))
        return Portrait(face, crop, drawn, mask, start, after, similarity, distance, warnings, version)


def _warnings(face: Face, start: Pose, similarity: float, distance: float | None) -> list[str]:
    """What a person should know of a portrait before they believe it."""
    found = []
    if distance is not None and distance >= SAME_PERSON:
        found.append(f"may not look like the person: distance {distance:.2f}, one person is under {SAME_PERSON}")
    elif distance is None and similarity < SAME_BY_ENCODER:
        found.append(f"may not look like the person: similarity {similarity:.2f}, one person is over {SAME_BY_ENCODER}")
    if abs(start.yaw_degrees) > FAR_TURNED_DEGREES:
        found.append(f"the face is turned by {abs(start.yaw_degrees):.0f} degrees: half of it is guessed")
    eyes = float(np.hypot(*(face.mesh[align.EYE_LEFT_OUTER, :2] - face.mesh[align.EYE_RIGHT_OUTER, :2])))
    if eyes < FEW_PX:
        found.append(f"the face is small: {eyes:.0f} px between the eyes' corners")
    return found
