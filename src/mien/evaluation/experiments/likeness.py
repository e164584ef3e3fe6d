"""Table 2 and figure 8: how alike is a made face to the person whose attributes were used?

The paper asked PicTriev, which no longer exists; per cent are those of ``evaluation/similarity.py``, by an encoder that
the faces were made from and by one that had no part in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.core.images import sheet
from mien.core.records import UInt8Image
from mien.evaluation.crowd_judged import FACE_FOUND, face_found
from mien.evaluation.metrics import metric_name
from mien.evaluation.plots import histograms
from mien.evaluation.report import Better, Figure, Report, ReportPicture, ReportProvenance, ReportTable, Section
from mien.evaluation.similarity import SimilarityScale, cosines
from mien.evaluation.statistics import Float64Array, mean_interval

PAPER = "22 % to 52 %, mean 36 % (9 people, PicTriev)"
SHOWN = 12  # people on a sheet


@dataclass(frozen=True, slots=True)
class Described:
    """P held-out people: who they are, how many attributes were used, and the photographs that they were read from."""

    names: tuple[str, ...]
    attributes: tuple[int, ...]
    photos: UInt8Image  # P S S 3


@dataclass(frozen=True, slots=True)
class Likenesses:
    """One face for each of P people by one method; ``embeddings``: encoder -> P D."""

    name: str
    faces: UInt8Image  # P S S 3
    embeddings: Mapping[str, Float64Array]
    found: npt.NDArray[np.bool_]  # P: where a cascade finds a face


@dataclass(frozen=True, slots=True)
class Ruler:
    """What per cent mean for one encoder, and the pairs of photographs that say so."""

    encoder: str
    same: Float64Array  # cosines of pairs of one person
    different: Float64Array  # ... of two people
    photos: Float64Array  # P D: embeddings of the people described

    @property
    def scale(self) -> SimilarityScale:
        """0 % is the mean of different people, 100 % that of the same."""
        return SimilarityScale.of(self.same, self.different)


def likeness_report(
    people: Described,
    methods: Sequence[Likenesses],
    rulers: Sequence[Ruler],
    provenance: ReportProvenance,
) -> Report:
    """The report; ``TooFewError`` where a ruler has too few pairs."""
    count = len(people.names)
    figures = [face_found("likeness", made.name, made.found) for made in methods]
    columns: dict[str, Float64Array] = {}
    pictures = []
    for ruler in rulers:
        scale = ruler.scale
        strangers = scale.percent(cosines(ruler.photos, np.roll(ruler.photos, 1, 0)))
        shares = {"another of these people": strangers}
        for made in methods:
            alike = scale.percent(cosines(made.embeddings[ruler.encoder], ruler.photos))
            shares[made.name] = np.where(made.found, alike, np.minimum(alike, 0.0))
            columns[f"{made.name}, {ruler.encoder}"] = shares[made.name]
        for name, values in shares.items():
            key = metric_name("likeness", ruler.encoder, count)
            label = f"similarity to the person described, {ruler.encoder}"
            better: Better = "" if values is strangers else "higher"
            found = mean_interval(values / 100)
            figures.append(Figure.of(found, name=key, label=label, subject=name, unit="%", better=better))
        sides = {"one person": scale.percent(ruler.same), "two people": scale.percent(ruler.different)}
        pictures.append(
            ReportPicture(
                f"ruler-{ruler.encoder}", f"What per cent mean: {ruler.encoder}", histograms(sides, x="%", bins=50)
            )
        )
    rows: tuple[tuple[str | int | float | None, ...], ...] = tuple(
        (people.names[k], people.attributes[k], *(f"{values[k]:.0f} %" for values in columns.values()))
        for k in range(count)
    )
    tables = (ReportTable(("person", "attributes used", *columns), rows, "Table 2 of the paper, here"),)
    shown = min(count, SHOWN)
    with_photos = [face for k in range(shown) for face in (people.photos[k], *(made.faces[k] for made in methods))]
    made_only = [made.faces[k] for made in methods for k in range(shown)]
    order = ", ".join(made.name for made in methods)
    pictures += [
        ReportPicture("likeness", f"Photograph, then {order}; a person a row", sheet(with_photos, 1 + len(methods))),
        ReportPicture("likeness-made", f"From the top: {order}; a person a column", sheet(made_only, shown)),
    ]
    text = (
        "The attributes that are marked on a held-out photograph are all that a method is told. Table 2 of the paper: "
        f"{PAPER}. Here 0 % is the mean cosine of different people and 100 % that of two photographs of the same one "
        "(so a face may be below 0 % or above 100 %). A made picture in which no cascade finds a face is like nobody: "
        "at most 0 %."
    )
    told = (figure for figure in figures if figure.label != FACE_FOUND)
    means = "; ".join(f"{figure.subject} {figure.shown} ({figure.label.split(', ')[-1]})" for figure in told)
    section = Section("Similarity to the person described", text, tuple(figures), tables, tuple(pictures))
    return Report("Table 2 and figure 8", f"{count} people: {means}", (section,), provenance)
