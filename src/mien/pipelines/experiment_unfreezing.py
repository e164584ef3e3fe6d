"""Short runs of the attribute heads that differ in which layers of the encoder learn."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mien.attributes import NAMES
from mien.attributes.features import FeatureSpec, concatenate, pooled_features
from mien.attributes.heads import AttributeHeads, HeadsConfig
from mien.core.errors import DatasetError, TrainingError
from mien.core.files import write_json
from mien.core.images import to_tensor
from mien.core.memory import keep_freed_memory
from mien.core.precision import fast_autocast
from mien.core.seeding import stream
from mien.datasets.batches import FaceDataset, Rows
from mien.datasets.features import features
from mien.datasets.labels import face_labels
from mien.evaluation.experiments.unfreezing import Curve, ProbedFaces, Unfrozen, unfreezing_report
from mien.evaluation.report import Report
from mien.faces.encoder import Encoder, load_encoder
from mien.pipelines.experiment_encoder import provenance
from mien.pipelines.experiment_requests import UnfreezingExperiment
from mien.training.attributes import AttributesConfig, train_attributes, validation_hook
from mien.training.attributes_layers import layers_from
from mien.training.logbook import read_logbook
from mien.training.settings import LoopSettings

if TYPE_CHECKING:
    from mien.attributes.targets import FaceLabels

HEADS_ONLY = "heads only"
# From the last layers to the whole upper half: FaceNet's 3 x 3 stage, what leads to it, its 8 x 8 stage; VGG-Face's
# fc-6 and conv-5 are those of the paper's table 1.
DEPTHS = {"facenet": ("block8_1", "mixed_7a", "block17_1"), "vgg-face": ("fc7", "fc6", "conv5_1")}
FALLING = {"facenet": "block17_1", "vgg-face": "conv5_1"}
READ = {"facenet": "pool", "vgg-face": "fc7"}  # what the heads stand on
HELD_OUT = 64  # faces the held-out loss is measured on, four times a run


@dataclass(frozen=True, slots=True)
class Crops:
    """Some rows of the dataset: crops decoded once, what the encoder as it came sees of them, what is known of them."""

    crops: np.ndarray[Any, Any]  # N S S 3
    seen: np.ndarray[Any, Any]  # N D float32
    labels: FaceLabels

    @classmethod
    def of(cls, data: FaceDataset, encoder: Encoder, rows: Rows) -> Crops:
        seen = features(data, encoder, rows, tap=READ[encoder.name]).astype(np.float32)
        return cls(data.decoded(rows, round(encoder.input_size * 1.2)), seen, face_labels(data, rows))

    def features(self, rows: Rows, random: np.random.Generator) -> Mapping[str, torch.Tensor]:
        """What the encoder sees of ``rows`` as a batch: where nothing of it learns it need not run."""
        return {"features": torch.from_numpy(self.seen[rows])}

    def images(self, rows: Rows, random: np.random.Generator) -> Mapping[str, torch.Tensor]:
        """The crops of ``rows`` as a batch."""
        return {"images": to_tensor(self.crops[rows])}


@dataclass(frozen=True, slots=True)
class RunData:
    """Faces that all runs learn from, are watched on, and are asked about."""

    learnt: Crops
    watched: Crops
    asked_train: Crops
    asked_test: Crops
    shares: np.ndarray[Any, Any]  # A: marks in all training faces
    moments: tuple[torch.Tensor, torch.Tensor]


def compared(request: UnfreezingExperiment) -> Report:
    """The report on one run for each layer, and on one whose rate falls with depth; ended runs are read."""
    network = load_encoder(request.encoder)
    data = FaceDataset.open(request.data)
    layers = request.layers or DEPTHS[request.encoder]
    depths: list[tuple[str | None, bool]] = [(None, False), *((layer, False) for layer in layers)]
    depths.append((request.layers[-1] if request.layers else FALLING[request.encoder], True))
    check_layers(network, [layer for layer, _ in depths if layer])
    faces = gather(request, data, network)
    found = [
        run_of(request, data, faces, name_of(request, layer, falling), layer, request.out / "runs", falling=falling)
        for layer, falling in depths
    ]
    rates = {"lr": request.rate, "encoder_lr": request.encoder_rate}
    about = provenance(data, network, request.seed, request.judged, steps=request.steps, batch=request.batch, **rates)
    return unfreezing_report(found, examined(faces), about)


def check_layers(encoder: Encoder, layers: Sequence[str]) -> None:
    """``RequestError`` for a layer with nothing to learn, before hours are spent on the others."""
    for layer in layers:
        layers_from(encoder, layer, (FeatureSpec("window", READ[encoder.name]),))


def gather(plan: UnfreezingExperiment, data: FaceDataset, encoder: Encoder) -> RunData:
    """Draw the faces at random and decode them once; ``DatasetError`` where a split has none with attributes."""
    drawn: dict[str, Rows] = {}
    for split in ("train", "validation", "test"):
        rows = data.rows(split)
        rows = rows[face_labels(data, rows).marked]
        if not len(rows):
            raise DatasetError(f"{data.dest}: no face with attributes in the split '{split}'")
        drawn[split] = rows[stream(plan.seed, "unfreezing", split).permutation(len(rows))]
    places = {
        "learnt": drawn["train"][: plan.steps * plan.batch],
        "watched": drawn["validation"][:HELD_OUT],
        "asked_train": drawn["train"][: plan.judged],  # faces that were learnt from
        "asked_test": drawn["test"][: plan.judged],
    }
    found = {name: Crops.of(data, encoder, np.sort(rows)) for name, rows in places.items()}
    seen = found["learnt"].seen
    return RunData(
        **found,
        shares=face_labels(data, drawn["train"]).attributes.mean(0).astype(np.float64),
        moments=(torch.from_numpy(seen.mean(0)), torch.from_numpy(seen.std(0))),
    )


def examined(faces: RunData) -> ProbedFaces:
    """What the runs are measured by."""
    train, test = (part.labels.attributes > 0.5 for part in (faces.asked_train, faces.asked_test))
    return ProbedFaces(NAMES, train, test, faces.shares)


def name_of(plan: UnfreezingExperiment, layer: str | None, falling: bool = False) -> str:
    """What learns in a run, in words."""
    return HEADS_ONLY if layer is None else f"from {layer}" + (f", rate x {plan.decay:g} a layer" if falling else "")


def run_of(
    plan: UnfreezingExperiment,
    data: FaceDataset,
    faces: RunData,
    name: str,
    layer: str | None,
    room: Path,
    *,
    falling: bool = False,
) -> Unfrozen:
    """Train one run in ``room`` and ask it; a run that ended before with the same plan is read instead."""
    keep_freed_memory()
    encoder = load_encoder(plan.encoder)
    recipe = (FeatureSpec("window", READ[plan.encoder]),)
    config = AttributesConfig(
        heads=HeadsConfig(recipe=tuple(each.name for each in recipe), widths=(len(faces.moments[0]),)),
        encoder=plan.encoder, unfreeze_from=layer, learning_rate=plan.rate,
        encoder_rate=plan.encoder_rate / plan.rate, lr_decay_per_layer=plan.decay if falling else 1.0,
        balance=0.0, unmarked_share=0.0,  # as the paper: no weights, so that probabilities are of marks as they come
    )  # fmt: skip
    settings = LoopSettings(
        steps=plan.steps, batch_size=plan.batch, seed=plan.seed, precision="auto", threads=torch.get_num_threads(),
        log_every=max(1, plan.steps // 20), tensorboard=False, checkpoint_minutes=None,
    )  # fmt: skip
    told = json.dumps([config.model_dump(), settings.model_dump(), plan.judged, data.fingerprint()], default=str)
    where = room / name.replace(",", "").replace(" ", "-")
    stamp = hashlib.sha256(told.encode()).hexdigest()
    kept = _read(where, stamp, name)
    if kept is not None:
        return kept
    begun = where / "begun.json"
    if not begun.is_file() or json.loads(begun.read_text()) != stamp:  # nothing, or a run of another plan
        shutil.rmtree(where, ignore_errors=True)
        write_json(begun, stamp)
    running = encoder if layer else None
    learnt_from, watched = (part.images if layer else part.features for part in (faces.learnt, faces.watched))
    hook = validation_hook(
        faces.watched.labels, watched, config, running, every=max(1, plan.steps // 4), batch=plan.batch
    )
    outcome = train_attributes(
        faces.learnt.labels, learnt_from, where, config, settings,
        moments=faces.moments, encoder=running, hooks=[hook], resume=True,
    )  # fmt: skip
    if not outcome.finished:
        raise TrainingError(
            f"{where}: stopped by {outcome.stopped_by} at step {outcome.step}; the same command goes on"
        )
    heads = outcome.shown["heads"]
    assert isinstance(heads, AttributeHeads)
    layers = layers_from(encoder, layer, recipe) if layer else []
    learnt = sum(p.numel() for p in heads.parameters()) + sum(p.numel() for _, ps in layers for p in ps)
    train, test = (_ask(running, heads, part) for part in (faces.asked_train, faces.asked_test))
    np.savez(where / "said.npz", train=train, test=test)
    write_json(where / "ended.json", {"stamp": stamp, "parameters": learnt, "images": outcome.images})
    shutil.rmtree(where / "checkpoints", ignore_errors=True)  # hundreds of MB that nobody asked for
    found = _read(where, stamp, name)
    assert found is not None
    return found


def _read(where: Path, stamp: str, name: str) -> Unfrozen | None:
    """A run that ended in ``where`` under the same stamp."""
    ended = where / "ended.json"
    if not ended.is_file():
        return None
    about = json.loads(ended.read_text())
    if about["stamp"] != stamp:
        return None
    lines = read_logbook(where)
    with np.load(where / "said.npz", allow_pickle=False) as said:
        train, test = said["train"], said["test"]
    return Unfrozen(
        name=name,
        parameters=about["parameters"],
        images=about["images"],
        seconds=float(lines[-1]["seconds"]),
        training=_curve((line["step"], line["losses"]["attributes/total"]) for line in lines if line["kind"] == "step"),
        held_out=_curve((line["step"], line["values"]["total"]) for line in lines if line["kind"] == "measure"),
        said_train=train,
        said_test=test,
    )


def _curve(points: Any) -> Curve:
    found: Sequence[tuple[float, float]] = list(points)
    return Curve(tuple(float(step) for step, _ in found), tuple(float(loss) for _, loss in found))


def _ask(encoder: Encoder | None, heads: AttributeHeads, faces: Crops, batch: int = 32) -> np.ndarray[Any, Any]:
    """Probabilities of marks (N 73 float32)."""
    rows = []
    looks = heads.config.looks
    with torch.inference_mode(), fast_autocast():
        for start in range(0, len(faces.crops), batch):
            if encoder is None:
                seen = torch.from_numpy(faces.seen[start : start + batch])
            else:
                seen = concatenate(
                    pooled_features(encoder, to_tensor(faces.crops[start : start + batch]), looks), looks
                )
            rows.append(heads(seen).scores().float().sigmoid().numpy())
    return np.concatenate(rows)
