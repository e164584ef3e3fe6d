"""What the tab Portrait has made: the portraits of all faces of a photo, with everything that is known of them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.apps.web.models import ModelSpec, load_portrait
from mien.core.errors import MienError, PhotoError
from mien.core.images import encode_jpeg, resize
from mien.core.records import UInt8Image

if TYPE_CHECKING:
    from mien.core.records import Face
    from mien.pipelines.portrait_model import PortraitPipeline
    from mien.provenance.marks import Marks

MODEL = "likenesses"
BACKGROUNDS: Mapping[str, tuple[int, int, int] | None] = {
    "white": (255, 255, 255),
    "grey": (224, 224, 222),
    "blue": (206, 222, 236),
    "transparent": None,
}
SIZES_PX = (256, 512)
SHOWN_PX = 256
CROP_QUALITY = 90


@dataclass(frozen=True, slots=True)
class FindJob:
    """The faces of one photo (H W 3 uint8 RGB), largest first: all, or the largest."""

    photo: UInt8Image
    largest: bool = False


@dataclass(frozen=True, slots=True)
class PortraitJob:
    """The portrait of one face of a photo. One at a time, so that a photo of a crowd holds nobody else up."""

    photo: UInt8Image
    name: str  # of the photo's file
    face: Face
    number: int  # of the face in the photo, the largest first
    size_px: int = SIZES_PX[0]
    background: str = "white"


@dataclass(frozen=True, slots=True)
class Likeness:
    """One face of a photo and its portrait, ready to be shown and saved; all in memory."""

    photo: str
    number: int  # of the face in the photo, the largest first
    crop: bytes  # JPEG: the aligned crop that was read
    drawn: bytes  # PNG: the portrait before the mask
    mask: bytes  # PNG
    image: UInt8Image  # the portrait on its background, S S 3 or S S 4
    row: Mapping[str, Any]  # of the manifest
    similarity: float
    distance: float | None
    warnings: tuple[str, ...]


def load() -> PortraitPipeline:
    """The networks; ``WeightsError`` says how those that are missing are fetched."""
    pipeline: PortraitPipeline = load_portrait()
    return pipeline


def make(pipeline: PortraitPipeline, jobs: Sequence[FindJob | PortraitJob]) -> list[Any]:
    """The faces of a photo, or the likeness of one of them; or what is wrong with it."""
    answers: list[Any] = []
    for job in jobs:
        try:
            answers.append(faces(pipeline, job) if isinstance(job, FindJob) else likeness(pipeline, job))
        except MienError as error:
            answers.append(error)
    return answers


def faces(pipeline: PortraitPipeline, job: FindJob) -> list[Face]:
    """At least one; ``PhotoError`` where there is none."""
    found = pipeline.faces(job.photo, largest=job.largest)
    if not found:
        raise PhotoError("no_face", "no face found; a face at least 40 px wide, lit and not in profile, is wanted")
    return found


def likeness(pipeline: PortraitPipeline, job: PortraitJob) -> Likeness:
    """One portrait with everything that is shown of it."""
    from mien.core.images import encode_png

    portrait = pipeline.portrait(job.photo, job.face, job.size_px)
    mask = np.repeat(np.asarray(portrait.mask * 255 + 0.5, np.uint8)[..., None], 3, 2)
    return Likeness(
        job.name,
        job.number,
        encode_jpeg(resize(portrait.crop, SHOWN_PX, SHOWN_PX), CROP_QUALITY),
        encode_png(resize(portrait.drawn, SHOWN_PX, SHOWN_PX)),
        encode_png(resize(mask, SHOWN_PX, SHOWN_PX)),
        portrait.on(BACKGROUNDS[job.background]),
        portrait.row(job.number, job.name, job.number),
        portrait.similarity,
        portrait.distance,
        portrait.warnings,
    )


def marked(likeness: Likeness, number: int, marks: Marks) -> tuple[dict[str, Any], bytes]:
    """(its row, its marked PNG) as portrait ``number`` of all."""
    from mien.pipelines.pictures import marked_row, png_of
    from mien.pipelines.portrait import ABOUT

    row = marked_row({**likeness.row, "file": f"{number:05d}.png", "index": number}, marks)
    return row, png_of(likeness.image, row, marks, ABOUT)


def inline(data: bytes, media_type: str) -> str:
    """Bytes as an address that holds them: such a picture is on the page and nowhere else."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


MODEL_SPECS = (ModelSpec(MODEL, "photo", "Portraits with crop and mask", load, make),)
