"""``evaluate``: what was made, judged beside real faces. A request in, a written report out.

What is here loads no network until a request is checked, so that a wrong one is refused at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mien.core.progress import OnStage, silent
from mien.evaluation import report
from mien.evaluation.report import Report
from mien.pipelines.evaluate_requests import (
    AttributesEvaluation,
    CrowdEvaluation,
    EditEvaluation,
    ImagineEvaluation,
    JudgeEvaluation,
    PortraitEvaluation,
)


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A report that lies on disk: what it says in one line, and its page."""

    summary: str
    page: Path


def written(found: Report, out: Path) -> WrittenReport:
    """Write a report into the directory ``out``."""
    return WrittenReport(found.summary, report.write(found, out))


def evaluate_crowd(request: CrowdEvaluation, *, on_stage: OnStage = silent) -> WrittenReport:
    """Judge crowds: detection, sex, age, race and words, distances, memorisation, groups. Errors: ``request.check``."""
    request.check()
    from mien.pipelines.evaluate_crowd import judged

    return written(judged(request, on_stage), request.out)


def evaluate_judge(request: JudgeEvaluation) -> WrittenReport:
    """Examine a judge on real faces that it never saw. Errors: ``request.check``."""
    request.check()
    from mien.pipelines import evaluate_judges

    examine = {"mien": evaluate_judges.age_sex, "attributes": evaluate_judges.attributes}[request.preset]
    return written(examine(request), request.out)


def evaluate_attributes(request: AttributesEvaluation) -> WrittenReport:
    """Examine the attribute heads by group of people. Errors: ``request.check``."""
    request.check()
    from mien.pipelines.evaluate_attributes import examined

    return written(examined(request), request.out)


def evaluate_portrait(request: PortraitEvaluation, *, on_stage: OnStage = silent) -> WrittenReport:
    """Judge portraits: identity, pose, expression, consistency, years. Errors: ``request.check``."""
    request.check()
    from mien.pipelines.evaluate_portrait import judged

    return written(judged(request, on_stage), request.out)


def evaluate_edit(request: EditEvaluation, *, on_stage: OnStage = silent) -> WrittenReport:
    """Judge edited photos: identity, age, sex and attributes asked, and what stayed. Errors: ``request.check``."""
    request.check()
    from mien.pipelines.evaluate_edit import judged

    return written(judged(request, on_stage), request.out)


def evaluate_imagine(request: ImagineEvaluation, *, on_stage: OnStage = silent) -> WrittenReport:
    """Judge faces made from words: attributes, variety, distance from the mean. Errors: ``request.check``."""
    request.check()
    from mien.pipelines.evaluate_imagine import judged

    return written(judged(request, on_stage), request.out)
