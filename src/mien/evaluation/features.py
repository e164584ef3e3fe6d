"""Crops -> features of the judges, and a cache of those of real faces, which never change.

Features are of networks that no generator of mien is trained with or against, read from the inner square of the crop
only (``faces/inner_square``): what lies outside is a mirrored border in most UTKFace crops.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from mien.attributes.age_sex import AgeSexJudge, AgeSexPredictions
from mien.attributes.attribute_judge import AttributeJudge, AttributePredictions
from mien.core.files import write_bytes
from mien.core.images import to_tensor
from mien.core.progress import OnStage, counted, silent
from mien.core.records import Float32Array, UInt8Image
from mien.evaluation.faces import FaceRow, Faces, fingerprint, read_faces
from mien.faces.dlib_resnet import DlibResNet, dlib_crop
from mien.faces.inner_square import grey_outside

IDENTITY = "dlib-resnet128-inner"
APPEARANCE = "judge-age-sex144-inner"

OnAdvance = Callable[[int], None]  # told how many more are done


class Judges(Protocol):
    """Who judges: replaced by a fake in tests."""

    @property
    def version(self) -> str:
        """Names the judges in provenance."""
        ...

    @property
    def identity_version(self) -> str:
        """Changes when the same crop would give other identity features."""
        ...

    def identity(self, crops: UInt8Image, on_advance: OnAdvance) -> Float32Array:
        """Identity features (N 128) of crops (N S S 3)."""
        ...

    def estimate(self, crops: UInt8Image, on_advance: OnAdvance) -> AgeSexPredictions:
        """Ages, sexes and appearance features of crops (N S S 3)."""
        ...

    def attributes(self, crops: UInt8Image, on_advance: OnAdvance, *, races: bool) -> AttributePredictions:
        """Attributes, and if ``races`` the race, of crops (N S S 3)."""
        ...


@dataclass(frozen=True, slots=True)
class NetworkJudges:
    """The real judges: dlib's ResNet, and mien's networks of age and sex and of attributes and race."""

    resnet: DlibResNet
    age_sex: AgeSexJudge
    attribute_judge: AttributeJudge
    batch_size: int = 32

    @classmethod
    def load(cls) -> NetworkJudges:
        """All from the package and the cache of fetched models; ``WeightsError`` says what to fetch."""
        network = DlibResNet.load().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(network, AgeSexJudge.load(), AttributeJudge.load())

    @property
    def version(self) -> str:
        own = (("age-sex", self.age_sex.metadata), ("attributes", self.attribute_judge.metadata))
        return "_".join([self.identity_version, *(f"{name}-{about.get('version', '0')}" for name, about in own)])

    @property
    def identity_version(self) -> str:
        return "dlib-1"  # network, window and mask: raise it with any of them

    def identity(self, crops: UInt8Image, on_advance: OnAdvance) -> Float32Array:
        found = np.empty((len(crops), 128), np.float32)
        with torch.no_grad():
            for start in range(0, len(crops), self.batch_size):
                part = slice(start, min(start + self.batch_size, len(crops)))
                chips = dlib_crop(grey_outside(to_tensor(crops[part])))
                found[part] = self.resnet(chips.contiguous(memory_format=torch.channels_last))["embedding"].numpy()
                on_advance(part.stop - part.start)
        return found

    def estimate(self, crops: UInt8Image, on_advance: OnAdvance) -> AgeSexPredictions:
        return self.age_sex.estimate(crops, progress=on_advance)

    def attributes(self, crops: UInt8Image, on_advance: OnAdvance, *, races: bool) -> AttributePredictions:
        return self.attribute_judge.look(crops, races=races, progress=on_advance)


def stored_identity(
    dest: Path, rows: Sequence[FaceRow], size: int, judges: Judges, cache: Path, *, on_stage: OnStage = silent
) -> Float32Array:
    """Identity features (N 128) of real faces, from the cache where they are, else computed block by block and kept."""
    path = cache / "features" / f"{IDENTITY}_{judges.identity_version}_{fingerprint(rows, size)}.npz"
    kept = _read(path, len(rows))
    if kept is not None:
        return kept
    found: list[Float32Array] = []
    with counted(on_stage(f"features of {len(rows):,} real faces"), len(rows)) as on_advance:
        for start in range(0, len(rows), 1024):
            faces = read_faces(dest, rows[start : start + 1024], size)
            found.append(judges.identity(faces.crops, on_advance))
    features = np.concatenate(found)
    buffer = io.BytesIO()
    np.savez(buffer, features=features)
    write_bytes(path, buffer.getvalue())
    return features


def _read(path: Path, count: int) -> Float32Array | None:
    """Features of the cache; ``None`` when they are not there, damaged or of another number of faces."""
    try:
        with np.load(path) as archive:
            features = np.asarray(archive["features"], np.float32)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return features if features.shape == (count, 128) else None


def unknown_labels(crops: UInt8Image) -> Faces:
    """Crops of which nothing is known, as ``Faces``."""
    nothing = np.full(len(crops), np.nan, np.float32)
    return Faces(crops, nothing, nothing.copy(), ("",) * len(crops))
