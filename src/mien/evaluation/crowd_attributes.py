"""Sections of a crowd's report on labels beyond sex and age: are the words of ``--with`` obeyed, and is race?

The judge (``attributes/attribute_judge``) shares no weights and no features with a generator, and it errs; its word on
generated faces stands beside its word on real ones that are marked and that are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.attributes import NAMES
from mien.attributes.attribute_judge import MODEL, RACES
from mien.core.images import caption, resize, sheet
from mien.core.progress import OnStage, counted
from mien.core.records import Float32Array, UInt8Image
from mien.evaluation.attribute_judge import confusion
from mien.evaluation.crowd_judged import JudgedFaces, face_found, slug_of
from mien.evaluation.detection import detects
from mien.evaluation.features import Judges
from mien.evaluation.metrics import metric_name
from mien.evaluation.report import Figure, ReportPicture, ReportTable, Section, shown
from mien.evaluation.statistics import difference, mean_interval, proportion

Mask = npt.NDArray[np.bool_]

OBEYED = 0.15  # a word that changes less than so much of the judge's answers is called not obeyed
FEWEST = 5  # real faces with and without a mark, to print a share of them
TILE_PX = 96


@dataclass(frozen=True, slots=True)
class WordFaces:
    """N faces three times, the same noise, sex and age each time: asked with a word, with "not", and without either."""

    name: str  # of the vocabulary
    word: str  # of the command line
    who: str  # "men", "women" or "men and women": for whom it was asked
    female: Mask  # N: the sex asked for
    asked: UInt8Image  # N S S 3
    denied: UInt8Image
    open: UInt8Image


@dataclass(frozen=True, slots=True)
class RealMarks:
    """Held-out real faces whose source marks attributes (NaN: unknown)."""

    crops: UInt8Image  # N S S 3
    marks: Float32Array  # N 73


@dataclass(frozen=True, slots=True)
class WordJudged:
    """Whether the judge found a word's attribute on each of N faces, asked, denied and open, and the sex asked for.

    A picture without a face fails: nothing is found where it was asked for, all is found where it was denied.
    """

    name: str
    word: str
    who: str
    asked: Mask
    denied: Mask
    open: Mask
    sex_asked: Mask  # of the asked: whether the sex is still as asked
    sex_denied: Mask
    face: Mask  # 2 N: whether a cascade finds one, of the asked and of the denied


def judge_words(name: str, words: Sequence[WordFaces], judges: Judges, on_stage: OnStage) -> tuple[WordJudged, ...]:
    """Ask the judges about every face of every word."""
    found = []
    seen: dict[int, Mask] = {}  # several words share their open faces
    with counted(on_stage(f"{name}: words"), sum(8 * len(word.asked) for word in words)) as on_advance:
        for word in words:
            place, both = NAMES.index(word.name), (word.asked, word.denied)
            if id(word.open) not in seen:
                face = detects(word.open, progress=on_advance)
                seen[id(word.open)] = judges.attributes(word.open, on_advance, races=False).found & face[:, None]
            else:
                on_advance(2 * len(word.open))
            faces = [detects(crops, progress=on_advance) for crops in both]
            there = [judges.attributes(crops, on_advance, races=False).found[:, place] for crops in both]
            sexes = [
                (judges.estimate(crops, on_advance).is_female == word.female) & face
                for crops, face in zip(both, faces, strict=True)
            ]
            found.append(
                WordJudged(
                    word.name, word.word, word.who, there[0] & faces[0], there[1] | ~faces[1],
                    seen[id(word.open)][:, place], sexes[0], sexes[1], np.concatenate(faces),
                )
            )  # fmt: skip
    return tuple(found)


def judge_marks(real: RealMarks | None, judges: Judges, on_stage: OnStage) -> Mapping[str, tuple[Mask, Mask]]:
    """For each attribute: whether it was found on the marked and on the unmarked real faces, where there are some."""
    if real is None or not len(real.crops):
        return {}
    with counted(on_stage("real faces: attributes"), len(real.crops)) as on_advance:
        found = judges.attributes(real.crops, on_advance, races=False).found
    parts = {name: (found[real.marks[:, k] == 1, k], found[real.marks[:, k] == 0, k]) for k, name in enumerate(NAMES)}
    return {name: pair for name, pair in parts.items() if min(len(part) for part in pair) >= FEWEST}


def words(
    judged: Mapping[str, tuple[WordJudged, ...]],
    real: Mapping[str, tuple[Mask, Mask]],
    made: Mapping[str, Sequence[WordFaces]],
) -> Section | None:
    """Which words of ``--with`` are obeyed? ``None`` where no crowd knows any."""
    judged = {name: some for name, some in judged.items() if some}
    if not judged:
        return None
    figures: list[Figure] = []
    rows: list[tuple[str | int | float | None, ...]] = []
    for name, some in judged.items():
        figures.append(face_found("words", name, np.concatenate([one.face for one in some])))
        for one in some:
            figures += _figures(name, one)
            gap = float(one.asked.mean() - one.denied.mean())
            marked, unmarked = real.get(one.name, (None, None))
            told = None if marked is None or unmarked is None else float(marked.mean() - unmarked.mean())
            rows.append(
                (
                    name, one.word, one.who, len(one.asked), shown(gap, "%"),
                    None if told is None else shown(told, "%"),
                    None if not told else shown(gap / told, "%"),
                    "yes" if gap >= OBEYED else "no",
                    shown(float(one.sex_asked.mean()), "%"), shown(float(one.sex_denied.mean()), "%"),
                )
            )  # fmt: skip
    figures += [figure for one in next(iter(judged.values())) for figure in _real_figures(one, real)]
    columns = (
        "crowd", "word", "asked of", "n", "difference", "the judge's own, on real", "of that", "obeyed",
        "sex as asked, with the word", "sex as asked, denied",
    )  # fmt: skip
    return Section(
        "Are the words of --with obeyed?",
        "Faces of adults asked for with a word and with its opposite, the same noise, sex and age. Found is what an "
        "independent judge says (judge-attributes, trained on LFW's labels from pixels); it errs, so the column 'real' "
        "has its word on held-out photographs that are marked (where the crowd was asked), that are not (where it was "
        f"denied), and the difference of both. A word is called obeyed from {shown(OBEYED, '%')} of difference on. "
        "Some words are asked of one sex only, since the photographs hardly show them on the other. Sex as asked, said "
        "by judge-age-sex, shows whether a word takes the sex along. A made picture in which no cascade finds a face "
        "obeys nothing: the word is not found where it was asked for, found where it was denied, and the sex is wrong.",
        tuple(figures),
        (ReportTable(columns, tuple(rows)),),
        tuple(ReportPicture(f"words-{slug_of(name)}", _caption(name), word_sheet(made[name])) for name in judged),
    )


def _figures(subject: str, one: WordJudged) -> list[Figure]:
    n, slug = len(one.asked), slug_of(one.name)
    shares = (("asked", "found when asked for", one.asked), ("denied", "found when denied", one.denied))
    figures = [
        Figure.of(
            proportion(int(found.sum()), n),
            name=metric_name(f"word-{slug}-{tag}", MODEL, n),
            label=f"{one.word}: {label}",
            subject=subject,
            unit="%",
            better="near the real one" if tag != "open" else "",  # no photograph was asked for neither
        )
        for tag, label, found in (*shares, ("open", "found when neither", one.open))
    ]
    kept = (("asked", "when asked for", one.sex_asked), ("denied", "when denied", one.sex_denied))
    figures += [
        Figure.of(
            proportion(int(right.sum()), n),
            name=metric_name(f"word-{slug}-{tag}-sex", "judge-age-sex", n),
            label=f"{one.word}: sex as asked, {label}",
            subject=subject,
            unit="%",
            better="higher",
        )
        for tag, label, right in kept
    ]
    gap = mean_interval(one.asked.astype(float) - one.denied.astype(float))
    figures.append(
        Figure.of(
            gap,
            name=metric_name(f"word-{slug}-difference", MODEL, n),
            label=f"{one.word}: difference",
            subject=subject,
            unit="%",
            better="near the real one",
        )
    )
    return figures


def _real_figures(one: WordJudged, real: Mapping[str, tuple[Mask, Mask]]) -> list[Figure]:
    if one.name not in real:
        return []
    slug = slug_of(one.name)
    marked, unmarked = (proportion(int(found.sum()), len(found)) for found in real[one.name])
    return [
        Figure.of(
            value,
            name=metric_name(f"word-{slug}-{tag}", MODEL, value.n),
            label=f"{one.word}: {label}",
            subject="real",
            unit="%",
        )
        for tag, label, value in (
            ("marked", "found when asked for", marked),
            ("unmarked", "found when denied", unmarked),
            ("marks-difference", "difference", difference(marked, unmarked)),
        )
    ]


def _caption(name: str) -> str:
    return f"{name}: each word asked for (left of each pair) and denied (right), the same noise, sex and age"


def word_sheet(some: Sequence[WordFaces], *, pairs: int = 5, first: int = 0) -> UInt8Image:
    """A row a word: its name, then ``pairs`` pairs of faces, asked for and denied."""
    tiles: list[UInt8Image] = []
    count = min(pairs, *(len(word.asked) - first for word in some))
    for word in some:
        tiles.append(caption(word.word, TILE_PX, 24).repeat(1, 0))
        tiles[-1] = np.pad(tiles[-1], ((36, TILE_PX - 60), (0, 0), (0, 0)), constant_values=255)
        for place in range(first, first + count):
            tiles += [resize(crops[place], TILE_PX, TILE_PX) for crops in (word.asked, word.denied)]
    return sheet(tiles, 1 + 2 * count)


def races(seen: Mapping[str, tuple[JudgedFaces, tuple[str, ...]]]) -> Section | None:
    """Is the race asked for seen? ``seen``: name -> faces with the race asked for (or known), and the judge's word."""
    figures: list[Figure] = []
    tables: list[ReportTable] = []
    for name, (one, said) in seen.items():
        figures.append(face_found("races", name, one.detected))
        faces = one.faces
        truth, guesses = np.array(faces.races), np.where(one.face, said, "")
        known = np.isin(truth, RACES)
        groups = [("every race", known), *((race, truth == race) for race in RACES)]
        for group, chosen in groups:
            n = int(chosen.sum())
            if not n:
                continue
            figures.append(
                Figure.of(
                    proportion(int((guesses[chosen] == truth[chosen]).sum()), n),
                    name=metric_name(f"race-agreement-{slug_of(group)}", MODEL, n),
                    label=f"race as asked, {group}",
                    subject=name,
                    unit="%",
                    better="near the real one",
                )
            )
        if known.any():
            table = confusion(tuple(map(str, guesses)), faces.races, "annotated" if name == "real" else "asked for")
            tables.append(ReportTable(table.columns, table.rows, caption=name))
    if len(tables) < 2:  # nobody but the real faces has a race
        return None
    return Section(
        "Is race as asked?",
        "Faces asked for with the sex, age and race of held-out faces, in UTKFace's five words. The judge sees the "
        "inner square only; its errors on the real faces stand beside. A made picture in which no cascade finds a face "
        "is of no race.",
        tuple(figures),
        tuple(tables),
    )
