"""The parts of a report that say who took part, how it was done, and which faces deceived."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mien.core.images import sheet
from mien.core.records import UInt8Image
from mien.evaluation.report import ReportPicture, ReportTable, Section, shown
from mien.evaluation.study import plots
from mien.evaluation.study.answers import JudgedTrials, Session
from mien.evaluation.study.design import REAL, Design

SHEET_FACES, SHEET_COLUMNS, SHEET_PX = 12, 6, 128

Cell = str | int | float | None


def who_took_part(data: JudgedTrials, sessions: Sequence[Session], withdrawn: int) -> Section:
    """Everybody who began, and what became of them."""
    design, rule = data.design, data.design.rule
    rows: list[tuple[Cell, ...]] = [
        ("gave consent and began", data.flow["began"] + withdrawn),
        ("withdrew; their answers are deleted", withdrawn),
        ("have not finished: not analysed", data.flow["unfinished"]),
        (f"set aside: more than {rule.catch_misses} of {design.catches} catch trials wrong", data.flow["set aside"]),
        ("analysed", data.flow["analysed"]),
    ]
    flow = ReportTable(("participants", "n"), tuple(rows), "Everybody who began")
    misses = ReportTable(
        ("catch trials wrong", "participants"),
        tuple(
            (count, sum(one.catch_misses == count for one in sessions if one.finished))
            for count in range(max((one.catch_misses for one in sessions if one.finished), default=0) + 1)
        ),
        "Of those who finished",
    )
    dropped = ReportTable(
        ("answers of analysed participants", "n"),
        (("counted", len(data)), *((f"left out: {why}", n) for why, n in sorted(data.left_out.items()))),
    )
    passes = _guesser_passes(design)
    return Section(
        "Who took part",
        "The rule was part of the design before the first answer. Somebody who guesses at everything would pass the "
        f"catch trials with a probability of {shown(passes, '%')}.",
        tables=(flow, misses, dropped),
    )


def _guesser_passes(design: Design) -> float:
    from scipy.stats import binom

    return float(binom.cdf(design.rule.catch_misses, design.catches, 0.5)) if design.catches else 1.0


def course(data: JudgedTrials) -> Section:
    """The first half of a session beside the second."""
    half = data.design.places / 2
    rows: list[tuple[Cell, ...]] = []
    for words, chosen in (("first half", data.places < half), ("second half", data.places >= half)):
        cells: list[Cell] = [words]
        for place in range(len(data.design.sources)):
            mine = chosen & (data.sources == place)
            cells.append(shown(float(data.said_real[mine].mean()), "%") if mine.any() else None)
        right = data.right[chosen]
        rows.append((*cells, shown(float(right.mean()), "%") if len(right) else None))
    return Section(
        "In the course of a session",
        "Nobody was told whether an answer was right, so a trend is weariness or learning by looking.",
        tables=(ReportTable(("judged real in the", *data.design.sources, "right answers"), tuple(rows)),),
    )


def deceivers(data: JudgedTrials, picture: Callable[[str], UInt8Image]) -> Section | None:
    """The faces that deceived most, and those that deceived least."""
    count = len(data.ids)
    answers = np.bincount(data.pictures, minlength=count)
    hits = np.bincount(data.pictures, data.said_real, count)
    source_of = np.full(count, -1)
    source_of[data.pictures] = data.sources
    pictures = []
    for place, source in enumerate(data.design.sources):
        members = np.flatnonzero((source_of == place) & (answers >= 2))
        if len(members) < 2 * SHEET_COLUMNS:
            continue
        level = (hits[members] + 1) / (answers[members] + 2)  # few answers are pulled to the middle
        order = members[np.argsort(-level, kind="stable")]
        for word, chosen in (("most", order[:SHEET_FACES]), ("least", order[::-1][:SHEET_FACES])):
            told = ", ".join(f"{hits[k]:.0f}/{answers[k]}" for k in chosen)
            tiles = [plots.tile(picture(data.ids[int(k)]), SHEET_PX) for k in chosen]
            name = f"{word}-{'real' if source == REAL else f'model-{place}'}"
            caption = f"{source}: {word} often judged real ({told})"
            pictures.append(ReportPicture(name, caption, sheet(tiles, SHEET_COLUMNS)))
    if not pictures:
        return None
    return Section(
        "Faces that deceived, and faces that did not",
        "How many of those who saw it judged it real. Photographs of persons: keep.",
        pictures=tuple(pictures),
    )


def how(design: Design) -> Section:
    """The design in words."""
    of = {source: len(design.of("trial", source)) for source in design.sources}
    rows: list[tuple[Cell, ...]] = [
        (source, design.given.get(source, ""), of[source], design.seen_of(source),
         ", ".join(f"{n} {why}" for why, n in design.left_out.get(source, {}).items()) or None)
        for source in design.sources
    ]  # fmt: skip
    background = "whole crops" if design.background == "whole" else "brows to chin in an oval, grey around"
    shown_for = f"for {design.exposure_ms} ms, then masked" if design.exposure_ms else "until answered"
    matched = f"of the same shares by {design.matched}" if design.matched else "not matched by sex and age"
    return Section(
        "How it was done",
        f"{design.size_px} px, {background}, shown {shown_for}; sources {matched}. Half of the faces that a "
        f"participant judged are photographs. Each met {design.scrambled} faces cut to pieces and {design.cards} cards "
        'that ask for the answer "real", at random places; every picture was shown to as many people as every other of '
        "its source, to one or so; order and sides of the keys at random.",
        tables=(ReportTable(("faces of", "from", "pictures", "seen by each", "left out"), tuple(rows)),),
    )
