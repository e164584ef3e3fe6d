"""The judges examined themselves, of sex and age and of attributes and race, on real faces that they never saw."""

from __future__ import annotations

import numpy as np

from mien.attributes.age_sex import AgeSexJudge
from mien.attributes.attribute_judge import RACES, AttributeJudge
from mien.core.records import UInt8Image
from mien.evaluation import age_sex as of_age_sex
from mien.evaluation import attribute_judge
from mien.evaluation.faces import FaceRow, dataset_rows, fingerprint, read_faces, real_marks
from mien.evaluation.report import Report, ReportProvenance
from mien.pipelines.evaluate_requests import JudgeEvaluation

READ_PX = 128


def age_sex(request: JudgeEvaluation) -> Report:
    """The packaged judge of sex and age, or ``request.weights``, on a split."""
    judge = AgeSexJudge.load(None if request.weights is None else str(request.weights))
    rows = [
        row for row in dataset_rows(request.data, request.split) if row.sex is not None or row.age_years is not None
    ]
    faces = read_faces(request.data, rows, READ_PX)
    provenance = ReportProvenance(
        model=f"judge-age-sex {judge.metadata.get('version')}",
        dataset_fingerprint=fingerprint(rows, READ_PX),
        n=len(rows),
        details={"split": request.split},
    )
    estimates = judge.estimate(faces.crops)
    return of_age_sex.examine(faces, estimates, title="The judge of sex and age, examined", provenance=provenance)


def attributes(request: JudgeEvaluation) -> Report:
    """The packaged judge of attributes and race, or ``request.weights``, on a split."""
    judge = AttributeJudge.load(None if request.weights is None else str(request.weights))
    rows = dataset_rows(request.data, request.split)
    marked, raced = [row for row in rows if row.present], [row for row in rows if row.race in RACES]
    provenance = ReportProvenance(
        model=f"judge-attributes {judge.metadata.get('version')}",
        dataset_fingerprint=fingerprint([*marked, *raced], READ_PX),
        n=len(marked) + len(raced),
        details={"split": request.split, "faces_with_attributes": len(marked), "faces_of_known_race": len(raced)},
    )

    def crops(part: list[FaceRow]) -> UInt8Image:
        return read_faces(request.data, part, READ_PX).crops if part else np.zeros((0, READ_PX, READ_PX, 3), np.uint8)

    return attribute_judge.examine(
        judge.look(crops(marked), races=False),
        real_marks(marked),
        judge.look(crops(raced)).races,
        tuple(row.race or "" for row in raced),
        title="The judge of attributes and race, examined",
        provenance=provenance,
    )
