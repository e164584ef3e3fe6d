"""Edited photos judged: is it still the person, are age, sex and attributes as asked, and did the rest stay?

Each held-out person has two photos: the first is edited, the second is never touched. Nothing that judges had a part in
the edits: dlib's network says whose face it is, mien's two judges age, sex and attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.attributes import NAMES
from mien.core.images import sheet
from mien.core.progress import OnStage, counted
from mien.core.records import Float32Array, UInt8Image
from mien.evaluation.crowd_judged import NEAR_YEARS, mean_of
from mien.evaluation.detection import detects
from mien.evaluation.features import IDENTITY, Judges
from mien.evaluation.metrics import metric_name
from mien.evaluation.report import Better, Figure, Report, ReportPicture, ReportProvenance, Section
from mien.evaluation.statistics import Interval, mean_interval, proportion
from mien.faces.dlib_resnet import SAME_PERSON

PHOTO = "photo"
FACE, HEAD = (0.26, 0.36), (0.46, 0.58)  # half axes of ellipses about the middle of the face, of the crop's side
MIDDLE = (0.50, 0.48)
SHOWN = 8  # people of a sheet


@dataclass(frozen=True, slots=True)
class EditTask:
    """One edit that everybody gets: its name, and what it asks of age, sex (True: the other one) or an attribute."""

    name: str
    years: float | None = None
    other_sex: bool = False
    attribute: str = ""  # to be there where it is not, and gone where it is


@dataclass(frozen=True, slots=True)
class EditedFaces:
    """One way's answer to one edit, of N people in their order."""

    way: str
    asked: EditTask
    images: UInt8Image  # N S S 3
    male: npt.NDArray[np.bool_]  # N: the sex that was asked for, where it was
    there: npt.NDArray[np.bool_]  # N: whether the attribute was to be there, where one was asked for

    @property
    def subject(self) -> str:
        """Its column."""
        return f"{self.asked.name}, {self.way}"


@dataclass(frozen=True, slots=True)
class _Seen:
    lost: npt.NDArray[np.bool_]  # N: the cascades find no face, where they find one on the photo
    identity: Float32Array  # N D
    years: Float32Array  # N
    female: npt.NDArray[np.bool_]  # N
    scores: Float32Array  # N A


def judge_edits(
    photos: UInt8Image, others: UInt8Image, edits: Sequence[EditedFaces], judges: Judges, *, title: str,
    provenance: ReportProvenance, on_stage: OnStage,
) -> Report:  # fmt: skip
    """Judge edits of ``photos`` (N S S 3) beside ``others`` (N S S 3), second photos of the same people."""
    with counted(on_stage("edits judged"), len(photos) * (1 + 4 * (2 + len(edits)))) as advance:
        known = detects(photos, progress=advance)

        def look(images: UInt8Image) -> _Seen:
            read = judges.estimate(images, advance)
            scores = judges.attributes(images, advance, races=False).scores
            lost = known & ~detects(images, progress=advance)
            return _Seen(lost, judges.identity(images, advance), read.ages_years, read.is_female, scores)

        own, second = look(photos), look(others)
        seen = [look(edit.images) for edit in edits]
    figures = _identity(PHOTO, own, own, second)
    for edit, one in zip(edits, seen, strict=True):
        figures += _identity(edit.subject, one, own, second)
    asked: list[Figure] = []
    for edit, one in zip(edits, seen, strict=True):
        asked += _obeyed(edit, one, own)
    stayed = [figure for edit, one in zip(edits, seen, strict=True) for figure in _stayed(edit, photos, one.lost)]
    sections = (
        Section("Is it still the person?", IDENTITY_TEXT, tuple(figures)),
        Section("Is it what was asked?", ASKED_TEXT, tuple(asked)),
        Section("Did the rest stay?", STAYED_TEXT, tuple(stayed), pictures=(_sheet(photos, edits),)),
    )
    return Report(title, _summary(edits, seen, own), sections, provenance)


IDENTITY_TEXT = (
    "An edit in which the cascades find no face, though they find one on the photo, fails: it is nobody, and nothing "
    f"in it is as asked. Distance of dlib's features, one person under {SAME_PERSON}: of the edited photo to the photo "
    "itself, and to a second photo of the person, beside what the unedited photo has to that one. Means are of the "
    "edits with a face, n in their names; the others fail in the shares. Age and sex are part of who somebody is, so a "
    "strong edit that costs nothing here did nothing."
)
ASKED_TEXT = (
    "Years, sex and attributes as mien's judges read them, which no edit was made with. The judges err on photographs, "
    "too, and pull ages to the middle."
)
STAYED_TEXT = (
    "Mean difference of pixels (0 to 255) from the photo: outside an ellipse that holds head and hair (background), "
    "and between that one and the face (hair, ears, neck)."
)


def _identity(subject: str, one: _Seen, own: _Seen, second: _Seen) -> list[Figure]:
    kept = proportion(int((~one.lost).sum()), len(one.lost))
    found = [_figure(kept, "7cascades", "a face is found, as on the photo (cascades)", subject, unit="%")]
    for label, beside in (("the photo itself", own), ("the second photo", second)):
        apart = np.linalg.norm(one.identity - beside.identity, axis=1)
        share = proportion(int(((apart < SAME_PERSON) & ~one.lost).sum()), len(apart))
        found.append(_figure(share, IDENTITY, f"one person with {label}", subject, unit="%"))
        found.append(_mean(apart[~one.lost], IDENTITY, f"distance to {label}, mean", subject))
    return found if subject != PHOTO else found[3:]


def _obeyed(edit: EditedFaces, one: _Seen, own: _Seen) -> list[Figure]:
    asked, count, subject = edit.asked, len(one.years), edit.subject
    found = [_mean(one.years[~one.lost], "judge", "years read, mean", subject, better="")]
    if asked.years is not None:
        off = np.abs(one.years - asked.years)
        before = np.abs(own.years - asked.years)
        near = proportion(int(((off <= NEAR_YEARS) & ~one.lost).sum()), count)
        found += [
            _figure(near, "judge", f"read within {NEAR_YEARS} years of what was asked", subject, unit="%"),
            _mean(off[~one.lost], "judge", "years off what was asked, mean", subject),
            _figure(mean_interval(before), "judge", "years off before the edit, mean", subject, better=""),
        ]
    if asked.other_sex:
        right = int(((one.female == ~edit.male) & ~one.lost).sum())
        found.append(_figure(proportion(right, count), "judge", "of the sex asked for", subject, unit="%"))
    elif not asked.attribute:
        kept = int(((one.female == own.female) & ~one.lost).sum())
        found.append(_figure(proportion(kept, count), "judge", "sex read as on the photo", subject, unit="%"))
    if asked.attribute:
        place = NAMES.index(asked.attribute)
        right = int((((one.scores[:, place] > 0.5) == edit.there) & ~one.lost).sum())
        was = int(((own.scores[:, place] > 0.5) == edit.there).sum())
        found += [
            _figure(proportion(right, count), "judge", "attribute as asked", subject, unit="%"),
            _figure(
                proportion(was, count), "judge", "attribute as asked before the edit", subject, unit="%", better=""
            ),
        ]
    return found


def _stayed(edit: EditedFaces, photos: UInt8Image, lost: npt.NDArray[np.bool_]) -> list[Figure]:
    apart = np.abs(edit.images.astype(np.float32) - photos.astype(np.float32)).mean(3)  # N S S
    head, face = inside(photos.shape[1], HEAD), inside(photos.shape[1], FACE)
    places = {"background, difference": ~head, "around the face, difference": head & ~face}
    return [_mean(apart[~lost][:, place].mean(1), "pixels", label, edit.subject) for label, place in places.items()]


def inside(size: int, half: tuple[float, float]) -> npt.NDArray[np.bool_]:
    """(S S): which pixels of an aligned crop lie in an ellipse about the middle of the face."""
    down, across = (np.mgrid[0:size, 0:size] + 0.5) / size
    found: npt.NDArray[np.bool_] = np.hypot((across - MIDDLE[0]) / half[0], (down - MIDDLE[1]) / half[1]) < 1
    return found


def _figure(
    interval: Interval, protocol: str, label: str, subject: str, *, unit: str = "", better: str = "higher"
) -> Figure:
    name = metric_name("edit", protocol, interval.n)
    return Figure.of(interval, name=name, label=label, subject=subject, unit=unit, better=better)  # type: ignore[arg-type]


def _mean(values: npt.NDArray[Any], protocol: str, label: str, subject: str, better: Better = "lower") -> Figure:
    return mean_of(np.asarray(values, np.float64), "edit", protocol, label, subject, "", better)


def _sheet(photos: UInt8Image, edits: Sequence[EditedFaces]) -> ReportPicture:
    rows = [photos[:SHOWN], *(edit.images[:SHOWN] for edit in edits)]
    words = "; ".join(("the photos", *(edit.subject for edit in edits)))
    return ReportPicture("edits", f"From above: {words}.", sheet([one for row in rows for one in row], len(rows[0])))


def _summary(edits: Sequence[EditedFaces], seen: Sequence[_Seen], own: _Seen) -> str:
    parts = []
    for edit, one in zip(edits, seen, strict=True):
        same = float(((np.linalg.norm(one.identity - own.identity, axis=1) < SAME_PERSON) & ~one.lost).mean())
        years = f", {one.years[~one.lost].mean():.0f} years" if not one.lost.all() else ""
        parts.append(f"{edit.subject}: {same:.0%} one person{years}")
    return f"{len(own.years)} people. " + "; ".join(parts) + "."
