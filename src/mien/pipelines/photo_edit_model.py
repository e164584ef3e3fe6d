"""Photo -> the same photo with somebody changed: the networks, loaded once, and the way through them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol, Self

import numpy as np

from mien.attributes.sentences import Description
from mien.core.images import in_crop, to_photos, to_tensor
from mien.core.photo_inputs import PhotoInput, photo_of
from mien.core.progress import OnProgress
from mien.core.records import Face, UInt8Image
from mien.faces import align
from mien.faces.encoder import load_encoder
from mien.faces.find import FaceFinder
from mien.faces.pose import pose
from mien.generators.imagine.density import Condition
from mien.generators.painter.editing import laid_over
from mien.generators.painter.editor import Edit, PhotoEditor, applied, completed, off
from mien.generators.painter.people import painted
from mien.papers.cgan_sanche.encoder import PaperAutoencoder
from mien.papers.cgan_sanche.networks import FRAME
from mien.pipelines.photo_edit import EditedPhoto, PhotoEditRequest, read_request, sex_of
from mien.pipelines.portrait_model import CROP_PX, FAR_TURNED_DEGREES, SAME_BY_ENCODER

LOOK = "any"  # of the painter: the photograph has its own
FAR_OFF_YEARS = 8.0
LEAST_SIMILARITY = 0.5  # of a change: a little above what two photos of one person have at least


class Editor(Protocol):
    """What changes a person on an aligned crop."""

    def edited(self, photo: UInt8Image, face: Face, wanted: Description, whole: bool) -> EditedPhoto:
        """The photo (or the square around the face) with what is wanted changed."""


class PhotoEditPipeline:
    """What finds the face and changes it."""

    def __init__(self, editor: Editor, finder: FaceFinder) -> None:
        self.editor, self.finder = editor, finder

    @classmethod
    def load(
        cls, preset: str = "mien", *, weights: str | os.PathLike[str] | None = None, device: str | None = None
    ) -> Self:
        """The networks of a preset: ``mien``, or ``paper`` with ``weights`` of ``mien train encoder``.

        Raises:
            RequestError: an unknown preset, or weights that it does not use.
            WeightsError: a file that is missing, damaged or of another model, or a network that was not fetched.
        """
        from mien.pipelines.photo_edit import check_preset

        check_preset(preset, weights)
        encoder = load_encoder("facenet")
        editor = PhotoEditor(painted(look=LOOK, device=device), encoder)
        if preset == "mien":
            return cls(PainterEdits(editor), FaceFinder.load())
        assert weights is not None
        return cls(PaperEdits(PaperAutoencoder.load(weights), editor), FaceFinder.load())

    def edit(
        self, photo: PhotoInput, words: str = "", *, age: str | None = None, sex: str | None = None, whole: bool = True
    ) -> EditedPhoto:
        """The photo with its largest face changed: ``edit("me.jpg", "smiling", age="60")``.

        Args:
            photo: as ``photo_of`` takes it: a path, bytes, a PIL image or an array.
            words: what is to be seen: ``"smiling, no glasses"``.
            age: in years, one value or a range.
            sex: ``female`` or ``male``.
            whole: the whole photo; False: the square around the face.

        Raises ``RequestError`` for what cannot be asked, ``PhotoError`` where no face is found.
        """
        request = read_request(photo, words, ages=() if age is None else (age,), sex=sex, whole=whole, option="words")
        return next(self.edits(request))

    def edits(self, request: PhotoEditRequest, *, on_progress: OnProgress | None = None) -> Iterator[EditedPhoto]:
        """A picture for each of what a request wants."""
        name = str(request.photo) if isinstance(request.photo, str | os.PathLike) else "photo"
        photo = photo_of(request.photo, name=name).photo
        face = self.finder.wanted(photo, name)
        for number, wanted in enumerate(request.wanted, 1):
            yield self.editor.edited(photo, face, wanted, request.whole)
            if on_progress is not None:
                on_progress(number, len(request.wanted))


class PainterEdits:
    """The default: what the painter changes, laid over the photograph."""

    def __init__(self, editor: PhotoEditor) -> None:
        self.editor = editor

    def of_crop(self, crop: UInt8Image, wanted: Description) -> Edit:
        """The change of an aligned crop (S S 3)."""
        condition = Condition(wanted.attributes, wanted.ages_years)
        return self.editor.edit(crop, condition, least_similarity=LEAST_SIMILARITY)

    def edited(self, photo: UInt8Image, face: Face, wanted: Description, whole: bool) -> EditedPhoto:
        """See ``Editor``."""
        transform = align.crop_transform(face.mesh, CROP_PX)
        crop = align.warp(photo, transform, CROP_PX)
        found = self.of_crop(crop, wanted)
        after = applied(crop, found.change)
        names = wanted.attributes
        return EditedPhoto(
            face, photo if whole else crop, laid_over(photo, found.change, transform) if whole else after,
            np.stack([crop, after]), wanted, found.before.row(names), found.after.row(names), found.similarity,
            found.strength, tuple(_warnings(face, found, wanted)), self.editor.name, self.editor.version,
        )  # fmt: skip


class PaperEdits:
    """Sanche's section 7: the photo's encoding goes into the generator with other labels. 64 px, nothing laid over."""

    def __init__(self, network: PaperAutoencoder, reader: PhotoEditor) -> None:
        self.network, self.reader = network, reader

    def edited(self, photo: UInt8Image, face: Face, wanted: Description, whole: bool) -> EditedPhoto:
        """See ``Editor``; ``whole`` cannot be: the generator draws the face anew. The reader says what stays."""
        crop = align.warp(photo, align.crop_transform(face.mesh, CROP_PX), CROP_PX)
        before = self.reader.read(crop[None])[0]
        years = before.years if wanted.ages_years is None else sum(wanted.ages_years) / 2
        sex = sex_of(wanted) or ("female" if before.woman >= 0.5 else "male")
        shown = align.window(to_tensor(crop), *FRAME, self.network.size_px)
        drawn = to_photos(self.network.redraw(shown, [sex], [years]))[0]
        after = in_crop(drawn, FRAME, CROP_PX)
        read = self.reader.read(after[None])[0]
        return EditedPhoto(
            face, to_photos(shown)[0], drawn, np.stack([crop, after]), wanted, before.row({}), read.row({}),
            float(before.embedding @ read.embedding), None, (), self.network.name, self.network.version,
        )  # fmt: skip


def _warnings(face: Face, found: Edit, wanted: Description) -> list[str]:
    """What a person should know of an edit before they believe it."""
    said, condition = [], completed(Condition(wanted.attributes, wanted.ages_years), found.before)
    if off(found.after, condition) > FAR_OFF_YEARS:
        said.append("not all that was asked is read in the picture; more of a change would be another person")
    if found.similarity < SAME_BY_ENCODER:
        said.append(f"may not look like the person: similarity {found.similarity:.2f}, one is over {SAME_BY_ENCODER}")
    if abs(pose(face.mesh).yaw_degrees) > FAR_TURNED_DEGREES:
        said.append(f"the face is turned by {abs(pose(face.mesh).yaw_degrees):.0f} degrees")
    return said
