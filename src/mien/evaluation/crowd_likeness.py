"""Sections of a crowd's report that compare it with real faces: detection, distances, memorisation, pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mien.core.errors import TooFewError
from mien.core.images import resize, sheet
from mien.core.records import Float32Array, UInt8Image
from mien.evaluation import metrics, plots
from mien.evaluation.crowd_judged import (
    JudgedFaces,
    Memory,
    Sweep,
    age_error,
    face_found,
    remembered,
    sex_right,
    slug_of,
)
from mien.evaluation.detection import rate_name
from mien.evaluation.features import APPEARANCE, IDENTITY
from mien.evaluation.report import Figure, ReportPicture, Section, shown
from mien.evaluation.statistics import proportion
from mien.faces.dlib_resnet import SAME_PERSON

PAPER_DETECTION = "The paper printed 84.83 % of 100,000 generated against 86.12 % of its real images."

# A photograph and its own blurred copy lie 0.16 apart in these features (median of 362), two photographs of one person
# 0.44 and of two people 0.81 (LFW). dlib's 0.6 says "the same person" of one pair; of the nearest among thousands it
# says little: most unseen real faces have somebody within it.
COPY_DISTANCE = 0.3

FetchCrops = Callable[[npt.NDArray[np.int64]], UInt8Image]


def pictures(made: UInt8Image, real: UInt8Image, name: str, *, rows: int = 8, columns: int = 12) -> Section:
    """Random samples (figure 7) with real faces of the same labels beside."""
    count = min(rows * columns, len(made), len(real))
    return Section(
        "Samples",
        "The first faces of the run, not chosen. Face for face, the sexes and ages asked for are those of the real "
        "faces in the second sheet.",
        pictures=(
            ReportPicture("samples", f"{name}: generated (figure 7)", sheet(list(made[:count]), columns)),
            ReportPicture(
                "samples-real", "Real, held out, the same labels in the same places", sheet(list(real[:count]), columns)
            ),
        ),
    )


def detection(judged: Mapping[str, JudgedFaces], by_source: Mapping[str, npt.NDArray[np.bool_]]) -> Section:
    """(a) The paper's measure."""
    found = {name: one.detected for name, one in judged.items()}
    found |= {f"real: {source}": hits for source, hits in by_source.items()}
    return Section(
        "Is a face found?",
        "The share of images, at 64 x 64 px, in which any of seven OpenCV cascades finds a face. "
        + PAPER_DETECTION
        + " The rate says little about looks: real tight crops score lower than many generated faces.",
        figures=tuple(
            Figure.of(
                proportion(int(hits.sum()), len(hits)),
                name=rate_name(len(hits)),
                label="detection rate",
                subject=name,
                unit="%",
                better="higher",
            )
            for name, hits in found.items()
        ),
    )


def likeness(judged: Mapping[str, JudgedFaces], other: JudgedFaces, *, k: int) -> Section:
    """(c) Distances between sets of faces, in two kinds of features, with real against real beside."""
    figures: list[Figure] = []
    reference = judged["real"]
    contestants = {name: one for name, one in judged.items() if name != "real"} | {"real, other half": other}
    spaces: tuple[tuple[str, Callable[[JudgedFaces], Float32Array]], ...] = (
        (IDENTITY, lambda one: one.identity),
        (APPEARANCE, lambda one: one.estimates.features),
    )
    figures += [face_found("likeness", name, one.detected) for name, one in contestants.items()]
    for space, features in spaces:
        # The same n for everybody: the distance falls with n.
        n = min(len(features(one)) for one in (reference, *contestants.values()))
        real = features(reference)[:n]
        for name, one in contestants.items():
            made = features(one)[:n]
            if n > made.shape[1]:
                figures.append(
                    Figure.of(
                        metrics.frechet_interval(real, made),
                        name=metrics.metric_name("frechet", space, n),
                        label=f"Fréchet distance, {space}",
                        subject=name,
                        better="lower",
                    )
                )
            if n > k:
                found = metrics.manifold(real, made, k=k, counted=one.face[:n])
                for metric in ("precision", "recall", "density", "coverage"):
                    value = float(getattr(found, metric))
                    full, label = metrics.metric_name(metric, space, n, k=k), f"{metric}, {space}"
                    if metric == "density":
                        figures.append(Figure(full, label, name, value, n, better="higher"))
                    else:
                        share = proportion(round(value * n), n)
                        figures.append(
                            Figure.of(share, name=full, label=label, subject=name, unit="%", better="higher")
                        )
    if len(figures) == len(contestants):
        raise TooFewError(f"evaluate crowd: {len(reference.faces)} real faces are too few to compare (more than {k})")
    return Section(
        "How near are the two crowds?",
        f"Fréchet distance, precision and recall (Kynkäänniemi et al. 2019) and density and coverage (Naeem et al. "
        f"2020), k = {k}, in features of dlib's face recognition network and of the age and sex judge: neither was "
        "trained on or against by the generator. Only the inner square of each crop is looked at, the part that is "
        "photograph in every source. The last column compares two disjoint sets of real faces of the same n: nothing "
        "can be expected to be nearer. Values are comparable within this report only, never with Inception's. A "
        "generated picture in which no cascade finds a face lies near no real one, and covers none; the Fréchet "
        "distance, which is of the whole set, is of all pictures.",
        figures=tuple(figures),
    )


def _nearness(name: str, one: Memory, real: Memory) -> Iterator[Figure]:
    """How near faces are to training faces, each figure followed by that of the real ones."""
    found, n = metrics.memorisation(one.distances, real.distances, threshold=COPY_DISTANCE), len(one.distances)
    below = f"below{COPY_DISTANCE:g}", f"nearer than {COPY_DISTANCE:g}, where copies lie"
    for metric, label, made_value, real_value, unit in (
        ("median", "median distance to the nearest training face", found.made_median, found.real_median, ""),
        ("below-real-p1", "nearer than 99 % of the real held-out faces are", found.share_nearer, 0.01, "%"),
        (*below, found.share_below, found.real_share_below, "%"),
    ):
        full = metrics.metric_name(f"nearest-training-{metric}", IDENTITY, n)
        yield Figure(full, label, name, made_value, n, unit=unit)
        yield Figure(full, label, "real", real_value, len(real.distances), unit=unit)


def memory(
    judged: Mapping[str, JudgedFaces],
    memories: Mapping[str, Memory],
    crops: FetchCrops | None,
    *,
    shown_faces: int = 12,
) -> Section:
    """(d) Is any face a copy of a training image?"""
    figures: list[Figure] = []
    pictured: list[ReportPicture] = []
    real = memories.get("real")
    for name, one in judged.items():
        if real is None or name == "real":
            continue
        figures.append(face_found("memory", name, one.detected))
        if name not in memories:
            continue
        known = {each.name for each in figures if each.subject == "real"}
        figures += [
            each for each in _nearness(name, memories[name], real) if each.subject != "real" or each.name not in known
        ]
        if crops is not None:
            order = np.argsort(memories[name].distances, kind="stable")[:shown_faces]
            near = crops(memories[name].nearest[order])
            mine = one.faces.crops[remembered(one)[order]]
            pairs = [resize(photo, 96, 96) for photo in (*mine, *near)]
            caption = (
                f"{name}: the {len(order)} faces nearest to training (above) and the training faces they are near to"
            )
            pictured.append(ReportPicture(f"nearest-{slug_of(name)}", caption, sheet(pairs, len(order))))
    if memories:
        series = {name: one.distances for name, one in memories.items()}
        plot = plots.histograms(
            series,
            x="distance to the nearest training face",
            marks={"copies lie below": COPY_DISTANCE, "one pair: same person": SAME_PERSON},
        )
        pictured.insert(0, ReportPicture("memory", "Distance of each face to its nearest training face", plot))
    return Section(
        "Is anybody copied?",
        "Distance in dlib's 128 identity features of each face to the nearest of all training faces, beside the same "
        "for real held-out faces. Copies would lie far to the left of the real ones: a photograph and its blurred copy "
        "are 0.16 apart, two photographs of one person 0.44. Only pictures in which a cascade finds a face count: "
        "noise is no copy of anybody, which is no merit.",
        figures=tuple(figures),
        pictures=tuple(pictured),
    )


def sheets(name: str, swapped: UInt8Image, sweep: UInt8Image, ages: Sequence[float], *, people: int = 10) -> Section:
    """One noise as woman and as man (figure 9), and one noise growing old (figure 10)."""
    pairs = swapped[:12]
    women_above_men = [*(pair[0] for pair in pairs), *(pair[1] for pair in pairs)]
    between = [place for place, age in enumerate(ages) if 15 <= age <= 75]
    rows = [sweep[place, person] for person in range(min(people, sweep.shape[1])) for place in between]
    slug = slug_of(name)
    asked = ", ".join(f"{ages[place]:g}" for place in between)
    pictured = [
        ReportPicture(
            f"swap-{slug}", f"{name}: the same noise as woman and as man (figure 9)", sheet(women_above_men, len(pairs))
        )
    ]
    if rows:
        caption = f"{name}: the same noise at {asked} years, one person a row (figure 10)"
        pictured.append(ReportPicture(f"aging-{slug}", caption, sheet(rows, len(between))))
    return Section(
        f"One noise, other labels: {name}", "What changes when only the label changes.", pictures=tuple(pictured)
    )


def summary(judged: Mapping[str, JudgedFaces], sweeps: Mapping[str, Sweep], other: JudgedFaces) -> str:
    """The main figures in a few sentences."""
    real = judged["real"]
    sentences = []
    for name, one in judged.items():
        if name == "real":
            continue
        rate, real_rate = shown(float(one.detected.mean()), "%"), shown(float(real.detected.mean()), "%")
        sentences.append(
            f"{name}: a face is found in {rate} of {len(one.faces):,} (real {real_rate}); "
            f"sex as asked {sex_right(one)} of adults (real {sex_right(real)}); "
            f"age error {age_error(one)} (real {age_error(real)}); "
            f"the judged age rises in {shown(sweeps[name].monotone, '%')} of the steps."
        )
    return " ".join(sentences)
