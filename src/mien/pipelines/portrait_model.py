"""Photo -> faces -> portraits: the networks, loaded once, and the way through them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from mien.core.checkpoints import WEIGHTS
from mien.core.errors import PhotoError, RequestError, WeightsError
from mien.core.images import resize_tensor, to_photos, to_tensor
from mien.core.limits import check_yes_no, whole_number
from mien.core.photo_inputs import PhotoInput, photo_of
from mien.core.records import Face, Float32Array, Pose, UInt8Image
from mien.faces import align
from mien.faces.dlib_resnet import SAME_PERSON, DlibResNet, dlib_crop
from mien.faces.encoder import Encoder, load_encoder
from mien.faces.find import FaceFinder
from mien.faces.landmarks import INPUT_PX, mesh_points
from mien.faces.pose import pose
from mien.faces.readers import FaceReaders
from mien.generators.enlarger import packaged_enlarger
from mien.generators.portrait.contract import PortraitDrawer
from mien.generators.portrait.mien import MienPortrait
from mien.generators.portrait.settings import RefineConfig
from mien.generators.portrait.silhouette import over
from mien.papers.frontal_wang_2019.networks import PaperPortrait
from mien.pipelines.portrait import (
    LARGEST_PX,
    LEAST_PX,
    WHITE,
    Portrait,
    check_preset,
    settings_of,
)

CROP_PX = 256
SAME_BY_ENCODER = 0.436  # cosine of FaceNet's embeddings of aligned crops, at equal error on LFW
FAR_TURNED_DEGREES = 45.0
FEW_PX = 30.0  # between the outer corners of the eyes, in the photo


@dataclass(frozen=True, slots=True)
class PortraitSubject:
    """What a portrait is drawn of, and judged by."""

    face: Face
    crop: UInt8Image  # S S 3, aligned
    features: Tensor  # 1 F
    embedding: Tensor  # 1 512


class PortraitPipeline:
    """What finds the faces, reads and draws them, and judges the portraits."""

    def __init__(self, drawer: PortraitDrawer, encoder: Encoder, finder: FaceFinder) -> None:
        self.drawer, self.finder = drawer, finder
        self.readers = FaceReaders(encoder, finder.mesh)

    @classmethod
    def load(
        cls,
        preset: str = "mien",
        *,
        weights: str | os.PathLike[str] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Self:
        """The networks of a preset.

        Args:
            preset: ``mien``, or ``paper``.
            weights: a file of ``mien train portrait`` instead of the packaged one (``paper`` has none).
            settings: of the preset (``pipelines/portrait.SETTINGS``).

        Raises:
            RequestError: an unknown preset, or a setting that it does not use.
            WeightsError: a file that is missing, damaged or of another model, or a network that was not fetched.
        """
        check_preset(preset, weights)
        return cls(_drawer(preset, weights, settings or {}), load_encoder("facenet"), FaceFinder.load())

    @property
    def size_px(self) -> int:
        """Height and width of the portraits where nothing else is asked for."""
        return self.drawer.size_px

    def model_version(self, size_px: int | None = None) -> str:
        """The version of what makes portraits of this size."""
        return self.drawer.version_at(size_px)

    @cached_property
    def judge(self) -> DlibResNet | None:
        """dlib's network, where it was fetched."""
        try:
            return DlibResNet.load()
        except WeightsError:
            return None

    def faces(self, photo: PhotoInput, *, largest: bool = False) -> list[Face]:
        """The faces of a photo, largest first: all (looked for in parts of the photo, too), or the largest."""
        photo = photo_of(photo).photo
        if largest:
            face = self.finder.largest(photo)
            return [] if face is None else [face]
        return self.finder.faces([photo], thorough=True)[0]

    def make(self, photo: PhotoInput, *, largest: bool = False, size_px: int | None = None) -> list[Portrait]:
        """The portraits of all faces of a photo (as ``photo_of`` takes it), largest first; none where there is none.

        Raises ``PhotoError`` for a file that cannot be read, ``RequestError`` for what is no photo.
        """
        check_yes_no(largest, "largest")
        if size_px is not None:
            whole_number(size_px, "size_px", LEAST_PX, LARGEST_PX)
        shown = photo_of(photo).photo
        return self.portraits([self.read(shown, face) for face in self.faces(shown, largest=largest)], size_px)

    def of_crop(self, crop: UInt8Image, size_px: int | None = None) -> tuple[UInt8Image, Float32Array]:
        """Aligned crop (S S 3) -> what is drawn (T T 3) and the mask (T T in [0, 1]), as ``portrait``, unjudged."""
        return self.of_crops([crop], size_px)[0]

    def of_crops(
        self, crops: Sequence[UInt8Image] | UInt8Image, size_px: int | None = None
    ) -> list[tuple[UInt8Image, Float32Array]]:
        """``of_crop`` of each: together in less time than one by one."""
        if len(crops) == 0:
            return []
        features = [self.drawer.encode(to_tensor(crop), self.readers)[0] for crop in crops]
        return self._drawn(torch.cat(features), size_px)

    def as_read(self, crop: UInt8Image) -> UInt8Image | None:
        """Aligned crop (S S 3) -> the decoder's picture of it before it is made neutral; ``None``: no such thing."""
        drawn = self.drawer.as_read(to_tensor(crop), self.readers)
        return None if drawn is None else to_photos(drawn)[0]

    def read(self, photo: PhotoInput, face: Face) -> PortraitSubject:
        """What a portrait of a face of a photo is drawn of. ``PhotoError`` for landmarks that do not span a face."""
        if not isinstance(face, Face):
            raise RequestError(
                f"face: {type(face).__name__} given; wanted: one of `faces` (`make` takes a photo alone)"
            )
        crop = align.warp(photo_of(photo).photo, align.crop_transform(face.mesh, CROP_PX), CROP_PX)
        return PortraitSubject(face, crop, *self.drawer.encode(to_tensor(crop), self.readers))

    def portrait(self, photo: PhotoInput, face: Face, size_px: int | None = None) -> Portrait:
        """The portrait of one face of a photo, ``size_px`` high and wide (``None``: as the preset draws it).

        Raises ``PhotoError`` for landmarks that do not span a face.
        """
        return self.portraits([self.read(photo, face)], size_px)[0]

    def portraits(self, faces: Sequence[PortraitSubject], size_px: int | None = None) -> list[Portrait]:
        """The portrait of each face, as ``portrait``: together in less time than one by one."""
        given_faces: Any = faces
        each = [given_faces] if isinstance(given_faces, str | bytes) else given_faces
        wrong = next((face for face in each if not hasattr(face, "features")), None)
        if wrong is not None:
            given = type(wrong).__name__
            raise RequestError(f"faces: {given} given; wanted: what `read` gives (`make` takes a photo)")
        if not faces:
            return []
        drawn = self._drawn(torch.cat([face.features for face in faces]), size_px, size_px)
        return [self._judged(face, *one, size_px) for face, one in zip(faces, drawn, strict=True)]

    def _drawn(
        self, features: Tensor, size_px: int | None, resized_px: int | None = None
    ) -> list[tuple[UInt8Image, Float32Array]]:
        """Features (N F) -> N pictures and masks."""
        images, masks = self.drawer.render(features, self.readers, size_px)
        if resized_px not in (None, images.shape[-1]):
            images, masks = resize_tensor(images, resized_px), align.whole_window(masks, resized_px)
        return list(zip(to_photos(images), np.asarray(masks[:, 0].numpy(), np.float32), strict=True))

    @torch.inference_mode()
    def _judged(self, of: PortraitSubject, drawn: UInt8Image, mask: Float32Array, size_px: int | None) -> Portrait:
        face, crop = of.face, of.crop
        before = pose(face.mesh)
        shown = to_tensor(over(drawn, mask, WHITE))
        encoder = self.readers.encoder
        read = encoder(align.encoder_window(shown, encoder.input_size), ("embedding",))["embedding"]
        similarity = float((read * of.embedding).sum())
        distance = None
        if self.judge is not None:
            codes = self.judge(torch.cat([dlib_crop(to_tensor(crop)), dlib_crop(shown)]))["embedding"]
            distance = float((codes[0] - codes[1]).norm())
        try:
            after = pose(mesh_points(self.readers.mesh, align.whole_window(shown, INPUT_PX))[0].numpy())
        except PhotoError:
            after = None
        warnings = tuple(_warnings(face, before, similarity, distance))
        version = self.model_version(size_px)
        return Portrait(
            face, crop, drawn, mask, before, after, similarity, distance, warnings, self.drawer.name, version
        )


def _drawer(preset: str, weights: str | os.PathLike[str] | None, settings: Mapping[str, Any]) -> PortraitDrawer:
    """The network of a preset."""
    read = settings_of(preset, settings)
    path = weights or WEIGHTS / f"portrait-{preset}.safetensors"
    if preset == "paper":
        return PaperPortrait.load(path)
    return MienPortrait.load(path, enlarger=packaged_enlarger(), refine=RefineConfig.make(read.model_dump()))


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
