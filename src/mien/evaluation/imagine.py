"""Faces made from words, judged: are they what was asked for, are they many people, and are they not the mean face?

Nothing here knows a generator: ``judge_imagine`` receives the descriptions, the real faces that they were read from,
and for each method the faces that it made. Every share stands beside the same share on those real faces, because no
judge finds every attribute that a photograph has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.attributes import NAMES
from mien.attributes.attribute_judge import MODEL as JUDGE
from mien.core.errors import TooFewError
from mien.core.images import sheet
from mien.core.progress import OnStage, counted, silent
from mien.core.records import Float32Array, UInt8Image
from mien.core.seeding import stream
from mien.evaluation import crowd_likeness
from mien.evaluation.crowd import judge_faces
from mien.evaluation.crowd_judged import memories_of, slug_of
from mien.evaluation.faces import Faces
from mien.evaluation.features import Judges, unknown_labels
from mien.evaluation.imagine_mean import controls, from_mean
from mien.evaluation.imagine_sets import AttributeSet, obeyed
from mien.evaluation.imagine_variety import MethodPredictions, RealPairs, figure_of, real_pairs, sheet_identity, variety
from mien.evaluation.metrics import metric_name
from mien.evaluation.report import Better, Figure, Report, ReportPicture, ReportProvenance, ReportTable, Section, shown
from mien.evaluation.statistics import Float64Array, Interval, mean_interval

BoolArray = npt.NDArray[np.bool_]

LEAST_SETS = 20
SHOWN = 12  # descriptions on a sheet


@dataclass(frozen=True, slots=True)
class MadeFaces:
    """What a method made: K faces for each of the P descriptions at ``places``. ``name`` is its column."""

    name: str
    places: tuple[int, ...]  # P, ascending
    crops: UInt8Image  # P K S S 3
    seconds: float | None = None  # that making them took, by the clock
    sixteen_seconds: tuple[float, ...] = ()  # that 16 faces of one description took, warm, each time it was tried
    sheets: UInt8Image | None = None  # Q 16 S S 3: a whole sheet for each of the first Q of ``places``


@dataclass(frozen=True, slots=True)
class RealFaces:
    """Real faces to judge beside, none of which was seen in training."""

    own: Faces  # N: those that the descriptions were read from, each another person
    other_half: Faces  # as many of other people
    training: Float32Array  # M 128: identity features of every training face
    alike: tuple[RealPairs, ...] = ()  # pairs of people who have more in common than strangers have


def judge_imagine(
    methods: Sequence[MadeFaces],
    sets: Sequence[AttributeSet],
    real: RealFaces,
    judges: Judges,
    *,
    title: str,
    provenance: ReportProvenance,
    on_stage: OnStage = silent,
) -> Report:
    """Judge methods side by side; returns the report, not yet written. ``TooFewError`` for few descriptions."""
    if len(sets) < LEAST_SETS:
        raise TooFewError(f"evaluate imagine: {len(sets)} descriptions, needed are {LEAST_SETS} or more")
    own = MadeFaces("real", tuple(range(len(sets))), real.own.crops[:, None])
    answers = {one.name: _answers(one, judges, on_stage) for one in (own, *methods)}
    other = judge_faces("real, other half", real.other_half, judges, on_stage, is_photo=True)
    whole = {name: one.judged for name, one in answers.items() if len(one.places) == len(sets)}
    sheets = {
        one.name: sheet_identity(one.name, one.sheets, judges, on_stage) for one in methods if one.sheets is not None
    }
    mean_face = np.rint(np.mean(real.other_half.crops, axis=0, dtype=np.float64)).astype(np.uint8)
    parts = (
        crowd_likeness.detection({name: one.judged for name, one in answers.items()}, {}),
        _wanted(answers, sets),
        _attributes(answers, sets),
        variety(answers, sets, other, [real_pairs(one, judges, on_stage) for one in real.alike], sheets),
        from_mean(answers, mean_face, controls(mean_face, judges, on_stage)),
        crowd_likeness.likeness(whole, other, k=3),
        crowd_likeness.memory(whole, memories_of(whole, real.training), None),
        *_speed(methods),
        _sheets(methods, sets),
    )
    return Report(title, _summary(parts, methods), parts, provenance)


def _answers(made: MadeFaces, judges: Judges, on_stage: OnStage) -> MethodPredictions:
    descriptions, samples = made.crops.shape[:2]
    flat = np.ascontiguousarray(made.crops.swapaxes(0, 1)).reshape(-1, *made.crops.shape[2:])
    judged = judge_faces(made.name, unknown_labels(flat), judges, on_stage, is_photo=made.name == "real")
    with counted(on_stage(f"{made.name}: attributes"), len(flat)) as on_advance:
        found = judges.attributes(flat, on_advance, races=False).found
    identity = judged.identity.astype(np.float64)
    return MethodPredictions(
        made.places,
        made.crops,
        judged.face.reshape(samples, descriptions).T,
        found.reshape(samples, descriptions, -1).swapaxes(0, 1),
        identity.reshape(samples, descriptions, -1).swapaxes(0, 1),
        judged,
    )


def _shares(one: MethodPredictions, sets: Sequence[AttributeSet], shift: int = 0) -> Float64Array:
    """P: the share of the wanted attributes of each description found on its faces, or on those ``shift`` away."""
    hits = _hits(one, sets, shift)
    return np.array([answer.mean() for answer in hits])


def _hits(one: MethodPredictions, sets: Sequence[AttributeSet], shift: int = 0) -> list[BoolArray]:
    """For each of P descriptions whether each face has each attribute (K W). What shows no face has none."""
    hits = obeyed(np.roll(one.found, shift, 0), [sets[place] for place in one.places])
    return [answer & face[:, None] for answer, face in zip(hits, np.roll(one.face, shift, 0), strict=True)]


def ratio_interval(made: Float64Array, real: Float64Array, *, rounds: int = 500) -> Interval:
    """mean(made) / mean(real) of pairs (N each), with a percentile bootstrap interval over pairs."""
    draws = stream(0, "ratio", len(made))
    values = []
    for _ in range(rounds):
        places = draws.integers(0, len(made), len(made))
        values.append(float(made[places].mean() / max(float(real[places].mean()), 1e-9)))
    value = float(made.mean() / max(float(real.mean()), 1e-9))
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(value, min(value, float(low)), max(value, float(high)), len(made))


def _wanted(answers: Mapping[str, MethodPredictions], sets: Sequence[AttributeSet]) -> Section:
    """(a) Are the wanted attributes there?"""
    figures: list[Figure] = []
    real = _shares(answers["real"], sets)
    for name, one in answers.items():
        shares = _shares(one, sets)
        rows: list[tuple[str, str, Interval, Better]] = [
            ("wanted-found", "wanted attributes found", mean_interval(shares), "higher"),
            ("other-found", "those of another description found", mean_interval(_shares(one, sets, 1)), ""),
        ]
        if name != "real":
            ratio = ratio_interval(shares, real[list(one.places)])
            rows.insert(1, ("wanted-found-ratio", "found as often as on the real faces", ratio, "higher"))
        figures += [figure_of(key, JUDGE, label, name, value, "%", better) for key, label, value, better in rows]
    return Section(
        "Are they what was asked for?",
        "The share of the wanted attributes of a description that the judge of attributes finds on its faces, mean "
        "over descriptions (bootstrap intervals over them). A picture in which the cascades find no face has none. The "
        "judge learned from pixels of real faces and shares nothing with the features that the faces were made from. "
        "It misses attributes of photographs, too: read the shares beside the real ones, and beside the share in which "
        "the attributes of another description are found on the same faces, which is what common attributes give to a "
        "method that does not listen. Nothing is asked for that one of the methods cannot be told.",
        tuple(figures),
    )


def _attributes(answers: Mapping[str, MethodPredictions], sets: Sequence[AttributeSet]) -> Section:
    """(a) once more, attribute by attribute."""
    counts: dict[str, dict[tuple[str, bool], list[float]]] = {}
    for name, one in answers.items():
        asked = [sets[place] for place in one.places]
        for described, hits in zip(asked, _hits(one, sets), strict=True):
            for share, pair in zip(hits.mean(0), described.wanted.items(), strict=True):
                counts.setdefault(name, {}).setdefault(pair, []).append(float(share))
    order = sorted(counts["real"], key=lambda pair: (-len(counts["real"][pair]), NAMES.index(pair[0])))
    rows: list[tuple[str | int | float | None, ...]] = []
    for pair in order:
        cells = [counts[name].get(pair) for name in answers]
        told = (shown(float(np.mean(cell)), "%") if cell else None for cell in cells)
        rows.append((pair[0] if pair[1] else "woman", len(counts["real"][pair]), *told))
    columns = ("attribute", "descriptions", *answers)
    return Section(
        "Attribute by attribute",
        "The share of faces on which the judge finds the attribute, of those whose description has it.",
        tables=(ReportTable(columns, tuple(rows)),),
    )


def _speed(methods: Sequence[MadeFaces]) -> list[Section]:
    """Seconds, where anybody counted them."""
    figures = []
    for made in methods:
        count = made.crops.shape[0] * made.crops.shape[1]
        if made.seconds is not None:
            each = made.seconds / count
            label = "seconds a face, begun cold"
            figures.append(Figure(metric_name("seconds", "clock", count), label, made.name, each, count, unit="s"))
        if made.sixteen_seconds:
            tried = np.array(made.sixteen_seconds)
            interval = Interval(float(np.median(tried)), float(tried.min()), float(tried.max()), len(tried))
            label = "16 faces of one description, warm (median; fastest to slowest)"
            figures.append(figure_of("seconds-16", "clock", label, made.name, interval, "s", "lower"))
    text = (
        "By the clock, on the threads that the provenance names, while the machine did whatever else it did. Methods "
        "that optimise pictures make up to 16 at once, so one alone takes longer than its share."
    )
    return [Section("How fast?", text, tuple(figures))] if figures else []


def _sheets(methods: Sequence[MadeFaces], sets: Sequence[AttributeSet]) -> Section:
    """One sheet a method: a description a column, its faces below each other."""
    pictures = []
    for made in methods:
        some = made.crops[:SHOWN]
        tiles = [crop for row in some.swapaxes(0, 1) for crop in row]
        caption = f"{made.name}: the first {len(some)} descriptions, one a column"
        pictures.append(ReportPicture(f"faces-{slug_of(made.name)}", caption, sheet(tiles, len(some))))
    table = ReportTable(("column", "description"), tuple((k + 1, one.words) for k, one in enumerate(sets[:SHOWN])))
    return Section("Faces", "The first descriptions of the run, not chosen.", tables=(table,), pictures=tuple(pictures))


def _summary(parts: Sequence[Section], methods: Sequence[MadeFaces]) -> str:
    values = {(figure.label, figure.subject): figure for part in parts for figure in part.figures}
    sentences = []
    for made in methods:

        def value(label: str, subject: str = made.name) -> str:
            figure = next((f for (name, who), f in values.items() if name.startswith(label) and who == subject), None)
            return figure.shown if figure else "unknown"

        sentences.append(
            f"{made.name}: wanted attributes found {value('wanted')} (real {value('wanted', 'real')}); a face is found "
            f"in {value('detection')} (real {value('detection', 'real')}); similarity within a description "
            f"{value('similarity, one')} (real people {value('similarity, two', 'real')})."
        )
    return " ".join(sentences)
