"""Studies with people: make one, keep its answers, report on it, make answers up. Refusals load nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mien.core.errors import RequestError
from mien.core.progress import OnStage, counted, silent
from mien.evaluation.study.design import (
    ANSWERS_FILE,
    DESIGN_FILE,
    REAL,
    Design,
    Rule,
    StudyRequest,
    check_names,
    picture_path,
)

if TYPE_CHECKING:
    from mien.pipelines.study_answers import AnswerStore

__all__ = ["Design", "Rule", "Simulated", "StudyRequest", "make_study", "open_answers", "picture_path", "report_study",
           "simulate_study"]  # fmt: skip

BACKGROUNDS = ("whole", "oval")


@dataclass(frozen=True, slots=True)
class Simulated:
    """What made-up people do with the faces of one source, over all people and pictures of its kind."""

    source: str
    d_prime: float
    judged_real: float  # share in [0, 1]


def make_study(
    out: Path, request: StudyRequest, real: Path, models: Sequence[tuple[str, Path]], *, split: str = "test",
    sources: Sequence[str] = (), force: bool = False, on_stage: OnStage = silent,
) -> Design:  # fmt: skip
    """Freeze a study into ``out``: pictures treated alike, and the design, before any answer.

    ``real`` is a prepared dataset (of which ``split`` and ``sources`` are taken) or a directory of square crops;
    ``models`` are names and directories of generated faces. ``RequestError`` for a background or a number of misses
    that there is not, a study that is there already and not ``force`` or that people answered, and too few pictures.
    """
    if request.background not in BACKGROUNDS:
        raise RequestError(f"--background: '{request.background}' given; allowed: {', '.join(BACKGROUNDS)}")
    if request.catch and request.rule.catch_misses >= request.catch:
        told = f"{request.rule.catch_misses} given; allowed are fewer than the {request.catch} catch trials"
        raise RequestError(f"--catch-misses: {told}")
    if (out / ANSWERS_FILE).exists():
        raise RequestError(f"{out}: holds answers of people; make the new study in another directory")
    if (out / DESIGN_FILE).exists() and not force:
        raise RequestError(f"{out}: holds a study already; name another directory or add --force")
    check_names([name for name, _ in models])
    for where in (real, *(where for _, where in models)):
        if not where.is_dir():
            wanted = "pictures or a prepared dataset" if where is real else "pictures"
            raise RequestError(f"{where}: no such directory; wanted {wanted}")
    from mien.evaluation.study.freeze import freeze
    from mien.evaluation.study.sources import candidates

    found = {
        name: candidates(where, split=split, sources=(), background=request.background, model=True)
        for name, where in models
    }
    photos = candidates(real, split=split, sources=sources, background=request.background)
    request = replace(request, given={REAL: str(real), **{name: str(where) for name, where in models}})
    count = len(photos) + sum(map(len, found.values()))
    with counted(on_stage("pictures read"), count) as on_advance:
        return freeze(request, photos, found, out, progress=on_advance)


def open_answers(folder: Path, store: str | None = None, *, make: bool = True) -> AnswerStore:
    """The answers of the study in ``folder``: in ``store``, or in a file of the study's own.

    ``RequestError`` where there is no study, or its pictures are others by now; ``StoreError``.
    """
    design = Design.load(folder)
    from mien.core.database import open_store  # first: it says what to install where SQLAlchemy is missing
    from mien.pipelines.study_answers import SCHEMA, AnswerStore

    return AnswerStore(open_store(store or folder / ANSWERS_FILE, SCHEMA, make=make), design)


def report_study(
    folder: Path, out: Path, *, store: str | None = None, seed: int = 0, force: bool = False
) -> tuple[str, Path]:
    """Write what the answers say into the directory ``out``: (a summary of one line, the path of the page).

    ``RequestError`` where a report lies there already and not ``force``; ``TooFewError`` for fewer than two people.
    """
    from mien.evaluation import report

    report.check_directory(out, force=force)
    answers = open_answers(folder, store, make=False)
    from mien.core.photos import read_photo
    from mien.evaluation.study.results import study_report

    design = answers.design
    details: dict[str, str | int | float | None] = {
        "study": answers.study,
        "frozen_by": f"mien {design.mien}",
        "seed_of_the_study": design.seed,
        "store": answers.store.address,
    }
    found = study_report(
        design,
        answers.sessions(),
        withdrawn=answers.withdrawn(),
        picture=lambda name: read_photo(picture_path(folder, name)),
        simulated=answers.people()[0] > 0,
        seed=seed,
        provenance=report.ReportProvenance(seed=seed, details=details),
    )
    return found.summary, report.write(found, out)


def simulate_study(
    folder: Path, store: str, sensitivity: Mapping[str, float], *, people: int, people_sd: float, pictures_sd: float,
    inattentive: float, seed: int,
) -> list[Simulated]:  # fmt: skip
    """Write the answers of made-up people into ``store``; what they lean to, for each model and then for real faces.

    ``sensitivity`` is d' of each model. ``RequestError`` where a model is missing, or ``store`` holds people's answers.
    """
    answers = open_answers(folder, store)
    from mien.evaluation.study.simulate import Truth, simulate

    truth = Truth(sensitivity, people_sd=people_sd, pictures_sd=pictures_sd, inattentive=inattentive)
    answers.add_simulated(simulate(answers.design, truth, people, seed))
    made = [Simulated(model, truth.d_prime(model), truth.called_real(model)) for model in answers.design.models]
    return [*made, Simulated(REAL, 0.0, truth.called_real(REAL))]
