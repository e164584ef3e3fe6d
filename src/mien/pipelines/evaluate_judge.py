"""The judges examined on faces that they never saw: of sex and age, and of attributes and race."""

from __future__ import annotations

from pathlib import Path

CACHED_PX = 128  # crops of this size are kept beside a dataset


def examine(data: Path, out: Path, weights: Path | None, split: str, force: bool) -> Path:
    """Examine the packaged judge (or ``weights``) on a split; returns the path of the page."""
    from mien.attributes.age_sex import AgeSexJudge
    from mien.evaluation import age_sex, report
    from mien.evaluation.faces import dataset_rows, fingerprint, read_faces

    report.check_directory(out, force=force)
    judge = AgeSexJudge.load(None if weights is None else str(weights))
    rows = [row for row in dataset_rows(data, split) if row.sex is not None or row.age_years is not None]
    faces = read_faces(data, rows, 128)
    provenance = report.Provenance(
        model=f"judge-age-sex {judge.metadata.get('version')}",
        dataset_fingerprint=fingerprint(rows, 128),
        n=len(rows),
        details={"split": split},
    )
    found = age_sex.examine(
        faces, judge.estimate(faces.crops), title="The judge of sex and age, examined", provenance=provenance
    )
    return report.write(found, out)


def examine_attributes(data: Path, out: Path, weights: Path | None, split: str, force: bool) -> Path:
    """Examine the packaged judge of attributes and race (or ``weights``) on a split; returns the path of the page."""
    import numpy as np

    from mien.attributes.attribute_judge import RACES, AttributeJudge
    from mien.evaluation import attribute_judge, report
    from mien.evaluation.faces import dataset_rows, fingerprint, read_faces, real_marks

    report.check_directory(out, force=force)
    judge = AttributeJudge.load(None if weights is None else str(weights))
    rows = dataset_rows(data, split)
    marked, raced = [row for row in rows if row.present], [row for row in rows if row.race in RACES]
    provenance = report.Provenance(
        model=f"judge-attributes {judge.metadata.get('version')}",
        dataset_fingerprint=fingerprint([*marked, *raced], CACHED_PX),
        n=len(marked) + len(raced),
        details={"split": split, "faces_with_attributes": len(marked), "faces_of_known_race": len(raced)},
    )
    none = np.zeros((0, CACHED_PX, CACHED_PX, 3), np.uint8)
    of_marks = read_faces(data, marked, CACHED_PX).crops if marked else none
    of_races = read_faces(data, raced, CACHED_PX).crops if raced else none
    found = attribute_judge.examine(
        judge.look(of_marks, races=False), real_marks(marked),
        judge.look(of_races).races, tuple(row.race or "" for row in raced),
        title="The judge of attributes and race, examined", provenance=provenance,
    )  # fmt: skip
    return report.write(found, out)
