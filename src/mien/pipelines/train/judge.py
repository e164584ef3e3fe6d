"""The judges of `mien evaluate crowd`: of sex and age, and of attributes and race."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mien.pipelines.train.request import Trained, TrainRequest, finished, use_threads

if TYPE_CHECKING:
    from mien.datasets.batches import FaceDataset

READ_PX = 192  # the stored window is cut from crops of this size
CACHED_PX = 128  # crops of this size are kept beside a dataset


def train_age_sex(options: TrainRequest) -> Trained:
    """Train on the train split of a dataset (faces of known sex or age) and write ``RUN/weights.safetensors``."""
    import torch

    from mien.attributes.age_sex import MODEL
    from mien.core.checkpoints import save_weights
    from mien.core.errors import DatasetError
    from mien.evaluation.faces import dataset_rows, fingerprint, read_faces
    from mien.training.age_sex import AgeSexConfig, stored_window, train_judge

    use_threads(options)
    rows = [r for r in dataset_rows(options.data, "train") if r.sex is not None or r.age_years is not None]
    if not rows:
        raise DatasetError(f"{options.data}: no face of known sex or age in the split 'train'")
    faces = read_faces(options.data, rows, READ_PX, each=stored_window)
    config = AgeSexConfig.make(options.said("steps", "batch_size", "seed", "precision"), where="mien train")
    outcome = train_judge(
        faces.crops, faces.ages_years, faces.female, options.out, config,
        resume=bool(options.resume), threads=options.threads, minutes=options.minutes, device=options.device or "auto",
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
    return finished(outcome, options.out)


def train_attribute_judge(options: TrainRequest) -> Trained:
    """Train the judge of attributes and race from the packaged judge of sex and age; writes RUN/weights.safetensors.

    ``options.start_from`` is another run of it to start from instead. Faces of the train split whose source marks
    attributes teach those, faces of known race teach race; from where on an attribute counts as found is chosen on the
    validation split.
    """
    import numpy as np
    import torch

    from mien.attributes.age_sex import AgeSexJudge
    from mien.attributes.attribute_judge import MODEL, AttributeJudge
    from mien.core.checkpoints import save_weights
    from mien.core.memory import keep_freed_memory
    from mien.datasets.batches import FaceDataset
    from mien.training.attribute_judge import AttributeJudgeConfig, batches, thresholds_of, train_judge, weights_of
    from mien.training.state import initial_weights

    keep_freed_memory()
    use_threads(options)
    data = FaceDataset.open(options.data)
    faces = _judged_faces(data)
    initial, before = initial_weights(options.start_from) if options.start_from is not None else ({}, 0)
    config = AttributeJudgeConfig.make(
        options.said("steps", "batch_size", "seed", "precision") | {"images_before": before}, where="mien train"
    )
    marked = len(faces.attributed)
    whole = np.arange(len(faces.crops)) < marked
    start = AgeSexJudge.load()
    outcome = train_judge(
        batches(faces.crops, faces.attributes, faces.races, whole, config),
        weights_of(faces.attributes[:marked], config.rare_weight), options.out, config,
        initial=initial.get("judge", start.network.state_dict()),
        resume=bool(options.resume), threads=options.threads, minutes=options.minutes, device=options.device or "auto",
    )  # fmt: skip
    network: Any = outcome.shown["judge"]
    seen = AttributeJudge(network, {}).look(data.crops(np.array(faces.held_out), CACHED_PX), races=False)
    thresholds = thresholds_of(seen.scores, _attribute_labels(data, faces.held_out))
    about = {
        "model": MODEL,
        "version": f"1-{data.fingerprint()[:8]}-{(outcome.images + before) // 1000}k",
        "config": config.model_dump(),
        "images_seen": outcome.images + before,
        "started_from": f"judge-age-sex {start.metadata.get('version')}",
        "training_faces": len(faces.crops),
        "input": "mien's whole aligned crop, 80 px, RGB, -1 to 1; for race grey outside the inner square",
        "thresholds": [round(float(value), 4) for value in thresholds],
    }
    save_weights(options.out / "weights.safetensors", network.state_dict(), about, dtype=torch.float16)
    return finished(outcome, options.out)


@dataclass(frozen=True, slots=True)
class _JudgedFaces:
    """What the judge learns from: N faces, first those with attributes, then those of known race alone."""

    attributed: Sequence[int]  # rows of the dataset, of the train split
    held_out: Sequence[int]  # rows with attributes, of the validation split
    crops: Any  # N S S 3, as stored
    attributes: Any  # N A labels
    races: Any  # N R labels


def _judged_faces(data: FaceDataset) -> _JudgedFaces:
    """``DatasetError`` where a split has no face with attributes."""
    import numpy as np

    from mien.core.errors import DatasetError
    from mien.training.attribute_judge import ethnicity_marks, race_marks, stored_crop

    def marked(split: str) -> list[int]:
        return [int(k) for k in data.rows(split) if data.faces[int(k)].attributes_present]

    attributed, held_out = marked("train"), marked("validation")
    if not attributed or not held_out:
        raise DatasetError(f"{data.dest}: no faces with attributes in the splits 'train' and 'validation'")
    train = [int(k) for k in data.rows("train")]
    raced = [k for k in train if data.faces[k].race and not data.faces[k].attributes_present]
    places, pixels = attributed + raced, data.pixels(CACHED_PX)
    kept = [stored_crop(pixels[places[start : start + 512]]) for start in range(0, len(places), 512)]
    of_races = ethnicity_marks(tuple(data.faces[k].race or "" for k in raced))
    of_races[:, 0] = 1 - data.female[raced]  # "Male"
    attributes = np.concatenate([_attribute_labels(data, attributed), of_races])
    races = race_marks(tuple(data.faces[k].race or "" for k in places))
    return _JudgedFaces(attributed, held_out, np.concatenate(kept), attributes, races)


def _attribute_labels(data: FaceDataset, rows: Sequence[int]) -> Any:
    """N A: what the sources say of these rows."""
    import numpy as np

    from mien.attributes.attribute_judge import marks

    faces = [data.faces[k] for k in rows]
    return np.stack([marks(set(f.attributes_present), set(f.attributes_absent), f.sex) for f in faces])
