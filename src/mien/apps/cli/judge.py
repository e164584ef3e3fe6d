"""The judges on the command line: ``mien train judge`` and ``mien evaluate judge``, of sex and age or of attributes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.apps.cli.train import TrainOptions
    from mien.training.loop import Outcome

READ_PX = 192  # the stored window is cut from crops of this size
CACHED_PX = 128  # crops of this size are kept beside a dataset


def train(options: TrainOptions) -> Outcome:
    """Train on the train split of a dataset (faces of known sex or age) and write ``RUN/weights.safetensors``."""
    import torch

    from mien.attributes.age_sex import MODEL
    from mien.core.checkpoints import save_weights
    from mien.core.errors import DatasetError
    from mien.evaluation.faces import dataset_rows, fingerprint, read_faces
    from mien.training.age_sex import AgeSexConfig, stored_window, train_judge

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    rows = [r for r in dataset_rows(options.data, "train") if r.sex is not None or r.age_years is not None]
    if not rows:
        raise DatasetError(f"{options.data}: no face of known sex or age in the split 'train'")
    faces = read_faces(options.data, rows, READ_PX, each=stored_window)
    said: dict[str, Any] = {
        "steps": options.steps,
        "batch_size": options.batch,
        "seed": options.seed,
        "precision": options.precision,
    }
    config = AgeSexConfig.make({key: value for key, value in said.items() if value is not None}, where="mien train")
    outcome = train_judge(
        faces.crops, faces.ages_years, faces.female, options.out, config,
        resume=options.resume, threads=options.threads, minutes=options.minutes, device=options.device,
    )  # fmt: skip
    about = {
        "model": MODEL,
        "version": f"1-{fingerprint(rows, READ_PX)[:8]}-{outcome.step}",
        "config": config.model_dump(),
        "images_seen": outcome.images,
        "sources": sorted({row.source for row in rows}),
        "training_faces": len(rows),
        "input": "inner square of mien's aligned crop, 64 px, RGB, -1 to 1",
    }
    tensors = outcome.shown["judge"].state_dict()
    save_weights(options.out / "weights.safetensors", tensors, about, dtype=torch.float16)
    return outcome


def train_attributes(options: TrainOptions) -> Outcome:
    """Train the judge of attributes and race from the packaged judge of sex and age; writes RUN/weights.safetensors.

    ``options.start_from`` is another run of it to start from instead. Faces of the train split whose source marks
    attributes teach those, faces of known race teach race; from where on an attribute counts as found is chosen on the
    validation split.
    """
    import numpy as np
    import torch

    from mien.attributes.age_sex import AgeSexJudge
    from mien.attributes.attribute_judge import MODEL, AttributeJudge, marks
    from mien.core.checkpoints import save_weights
    from mien.core.errors import DatasetError
    from mien.core.memory import keep_freed_memory
    from mien.datasets.batches import FaceDataset
    from mien.training.attribute_judge import (
        AttributeJudgeConfig,
        batches,
        ethnicity_marks,
        race_marks,
        stored_crop,
        thresholds_of,
        train_judge,
        weights_of,
    )
    from mien.training.state import initial_weights

    keep_freed_memory()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    data = FaceDataset.open(options.data)

    def marked(split: str) -> list[int]:
        return [int(k) for k in data.rows(split) if data.faces[int(k)].attributes_present]

    attributed, held_out = marked("train"), marked("validation")
    raced = [
        int(k) for k in data.rows("train") if data.faces[int(k)].race and not data.faces[int(k)].attributes_present
    ]
    if not attributed or not held_out:
        raise DatasetError(f"{options.data}: no faces with attributes in the splits 'train' and 'validation'")
    said: dict[str, Any] = {
        "steps": options.steps,
        "batch_size": options.batch,
        "seed": options.seed,
        "precision": options.precision,
    }
    initial, before = initial_weights(options.start_from) if options.start_from is not None else ({}, 0)
    config = AttributeJudgeConfig.make(
        {key: value for key, value in said.items() if value is not None} | {"images_before": before}, where="mien train"
    )

    def labels(places: list[int]) -> Any:
        rows = [data.faces[k] for k in places]
        return np.stack([marks(set(r.attributes_present), set(r.attributes_absent), r.sex) for r in rows])

    places, pixels = attributed + raced, data.pixels(CACHED_PX)
    kept = [stored_crop(pixels[places[start : start + 512]]) for start in range(0, len(places), 512)]
    races = tuple(data.faces[k].race or "" for k in places)
    of_races = ethnicity_marks(tuple(data.faces[k].race or "" for k in raced))
    of_races[:, 0] = 1 - data.female[raced]  # "Male"
    attributes = np.concatenate([labels(attributed), of_races])
    whole = np.arange(len(places)) < len(attributed)
    start = AgeSexJudge.load()
    outcome = train_judge(
        batches(np.concatenate(kept), attributes, race_marks(races), whole, config),
        weights_of(attributes[: len(attributed)], config.rare_weight), options.out, config,
        initial=initial.get("judge", start.network.state_dict()),
        resume=options.resume, threads=options.threads, minutes=options.minutes, device=options.device,
    )  # fmt: skip
    network: Any = outcome.shown["judge"]
    seen = AttributeJudge(network, {}).look(data.crops(np.array(held_out), CACHED_PX), races=False)
    about = {
        "model": MODEL,
        "version": f"1-{data.fingerprint()[:8]}-{(outcome.images + before) // 1000}k",
        "config": config.model_dump(),
        "images_seen": outcome.images + before,
        "started_from": f"judge-age-sex {start.metadata.get('version')}",
        "training_faces": len(places),
        "input": "mien's whole aligned crop, 80 px, RGB, -1 to 1; for race grey outside the inner square",
        "thresholds": [round(float(value), 4) for value in thresholds_of(seen.scores, labels(held_out))],
    }
    save_weights(options.out / "weights.safetensors", network.state_dict(), about, dtype=torch.float16)
    return outcome


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
