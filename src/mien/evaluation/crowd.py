"""A crowd judged (Sanche, section 5, and what that paper lists as future work): real and generated, one protocol.

Nothing here knows a generator: ``judge_crowd`` receives images with the labels they were made for, and real faces.
What is compared with what, and why:

- generated face k was asked for with the sex and age of held-out real face k (repeating from the start where more are
  made), so that both crowds have the same labels;
- the judge's error on real faces stands beside its error on generated ones: a generator cannot do better than it;
- distances between generated and held-out faces stand beside those between two halves of real ones of the same n;
- a generated picture in which no cascade finds a face is a failure, whatever the other judges say of it;
- races and the words of ``--with`` are asked for in faces of their own: the others were asked for by sex and age alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.core.errors import TooFewError
from mien.core.progress import OnStage, counted, silent
from mien.core.records import Float32Array, UInt8Image
from mien.evaluation import crowd_attributes, crowd_labels, crowd_likeness
from mien.evaluation.crowd_attributes import RealMarks, WordFaces
from mien.evaluation.crowd_judged import JudgedFaces, Sweep, memories_of
from mien.evaluation.detection import detects
from mien.evaluation.faces import Faces
from mien.evaluation.features import Judges
from mien.evaluation.report import Report, ReportProvenance, Section


@dataclass(frozen=True, slots=True)
class MadeCrowd:
    """What a generator made for judging. ``name`` is its column in the report."""

    name: str
    faces: Faces  # face k has the labels of held-out face k % n
    swapped: UInt8Image  # K 2 S S 3: one noise as female, as male (figure 9)
    sweep: UInt8Image  # T K S S 3: K noises at T ages (figure 10)
    sweep_female: npt.NDArray[np.bool_]  # K
    sweep_ages_years: tuple[float, ...]  # T
    raced: Faces | None = None  # face k has the labels of held-out face k, its race too; None: knows no races
    words: tuple[WordFaces, ...] = ()  # a word of --with each; none: knows no words


@dataclass(frozen=True, slots=True)
class RealCrowd:
    """Real faces to judge beside: none of the first two was seen in training."""

    held_out: Faces  # known sex and age
    other_half: Faces  # as many more of the same kind, for the distance between real and real
    training: Float32Array  # M 128: identity features of every training face
    by_source: Mapping[str, Faces]  # held-out faces of each source, whether labelled or not
    marks: RealMarks | None = None  # held-out faces whose source marks attributes


def judge_crowd(
    crowds: Sequence[MadeCrowd],
    real: RealCrowd,
    judges: Judges,
    *,
    title: str,
    provenance: ReportProvenance,
    k: int = 3,
    on_stage: OnStage = silent,
    nearest_crops: crowd_likeness.FetchCrops | None = None,
) -> Report:
    """Judge one generated crowd (the first) and its peers; returns the report, not yet written.

    ``nearest_crops`` reads training crops by index for the picture of the nearest ones; without it there is none.
    """
    if not crowds:
        raise TooFewError("evaluate crowd: 0 crowds, needed is 1 or more")
    judged = {"real": judge_faces("real", real.held_out, judges, on_stage, is_photo=True)}
    other = judge_faces("real, other half", real.other_half, judges, on_stage, is_photo=True)
    for crowd in crowds:
        judged[crowd.name] = judge_faces(crowd.name, crowd.faces, judges, on_stage, limit_identity=len(real.held_out))
    by_source = {}
    for source, faces in real.by_source.items():
        with counted(on_stage(f"cascades on real faces of {source}"), len(faces)) as on_advance:
            by_source[source] = detects(faces.crops, progress=on_advance)
    sweeps = {crowd.name: _sweep(crowd, judges, on_stage) for crowd in crowds}
    raced = {
        crowd.name: judge_faces(
            f"{crowd.name}, by race", crowd.raced, judges, on_stage, limit_identity=len(real.held_out)
        )
        for crowd in crowds
        if crowd.raced is not None
    }
    words = {crowd.name: crowd_attributes.judge_words(crowd.name, crowd.words, judges, on_stage) for crowd in crowds}
    marked = crowd_attributes.judge_marks(real.marks, judges, on_stage) if any(words.values()) else {}
    obeyed = (
        crowd_attributes.words(words, marked, {crowd.name: crowd.words for crowd in crowds}),
        crowd_attributes.races(_races({"real": judged["real"]} | raced, judges, on_stage)),
    )
    parts: list[Section] = [
        crowd_likeness.pictures(crowds[0].faces.crops, real.held_out.crops, crowds[0].name),
        crowd_likeness.detection(judged, by_source),
        crowd_labels.labels(judged),
        crowd_labels.age_sweep(sweeps),
        *(section for section in obeyed if section is not None),
        crowd_likeness.likeness(judged, other, k=k),
        crowd_likeness.memory(judged, memories_of(judged, real.training), nearest_crops),
        crowd_labels.groups(judged, raced, k=k),
        *(crowd_likeness.sheets(crowd.name, crowd.swapped, crowd.sweep, crowd.sweep_ages_years) for crowd in crowds),
    ]
    return Report(title, crowd_likeness.summary(judged, sweeps, other), tuple(parts), provenance)


def judge_faces(
    name: str,
    faces: Faces,
    judges: Judges,
    on_stage: OnStage,
    *,
    limit_identity: int | None = None,
    is_photo: bool = False,
) -> JudgedFaces:
    """Everything that the judges say of a set of faces; identity only of the first ``limit_identity``."""
    with counted(on_stage(f"{name}: cascades"), len(faces)) as on_advance:
        found = detects(faces.crops, progress=on_advance)
    with counted(on_stage(f"{name}: sex and age"), len(faces)) as on_advance:
        estimates = judges.estimate(faces.crops, on_advance)
    some = faces.crops[:limit_identity]
    with counted(on_stage(f"{name}: identity"), len(some)) as on_advance:
        identity = judges.identity(some, on_advance)
    return JudgedFaces(name, faces, found, estimates, identity, is_photo)


def _races(
    sets: Mapping[str, JudgedFaces], judges: Judges, on_stage: OnStage
) -> Mapping[str, tuple[JudgedFaces, tuple[str, ...]]]:
    """What the judge calls each face of sets whose races are known; nothing where only the real ones' are."""
    found: dict[str, tuple[JudgedFaces, tuple[str, ...]]] = {}
    if len(sets) < 2:
        return found
    for name, one in sets.items():
        with counted(on_stage(f"{name}: race"), len(one.faces)) as on_advance:
            found[name] = one, judges.attributes(one.faces.crops, on_advance, races=True).races
    return found


def _sweep(crowd: MadeCrowd, judges: Judges, on_stage: OnStage) -> Sweep:
    ages, people = crowd.sweep.shape[:2]
    flat = crowd.sweep.reshape(-1, *crowd.sweep.shape[2:])
    with counted(on_stage(f"{crowd.name}: age sweep"), 2 * len(flat)) as on_advance:
        estimates = judges.estimate(flat, on_advance)
        found = detects(flat, progress=on_advance)
    return Sweep(
        asked_years=crowd.sweep_ages_years,
        judged_years=estimates.ages_years.reshape(ages, people),
        female=estimates.is_female.reshape(ages, people),
        asked_female=crowd.sweep_female,
        face=found.reshape(ages, people),
    )
