"""Attributes: 42 heads on a face encoder, alone or together with its last layers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mien.core.progress import progress_bars
from mien.pipelines.train.request import Trained, TrainRequest, finished, loop_settings, settings_of, use_threads
from mien.pipelines.train.settings import AttributesSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from mien.attributes.features import Recipe
    from mien.attributes.targets import FaceLabels
    from mien.datasets.batches import FaceDataset, Rows
    from mien.faces.encoder import Encoder
    from mien.training.attributes import AttributesConfig, Inputs
    from mien.training.attributes_axes import Axes
    from mien.training.loop import Outcome

    Moments = tuple[torch.Tensor, torch.Tensor]

CROP_PX = 192  # of the crops that go through an encoder whose layers learn: what its larger frame shows
MOMENT_ROWS = 2000
BATCH = {"mien": 256, "paper": 32}


def train_heads(request: TrainRequest) -> Trained:
    """The best heads for the compute; they are calibrated on the validation split and written into RUN."""
    return _train(request, "mien")


def train_heads_as_printed(request: TrainRequest) -> Trained:
    """Section 6 of DeepFace as printed."""
    return _train(request, "paper")


def _train(request: TrainRequest, preset: Literal["mien", "paper"]) -> Trained:
    from mien.datasets.batches import FaceDataset
    from mien.datasets.pooled import widths
    from mien.faces.encoder import load_encoder
    from mien.training import attributes_presets as presets
    from mien.training.attributes import epoch_steps
    from mien.training.attributes_layers import layers_from

    own = settings_of(request, AttributesSettings)
    unfreeze_from, encoder, out = own.unfreeze_from, own.encoder, request.out
    use_threads(request)
    looks = presets.recipe(preset, encoder)
    dataset, eyes = FaceDataset.open(request.data), load_encoder(encoder)
    if unfreeze_from is not None:  # said before minutes are spent on looking at faces
        layers_from(eyes, unfreeze_from, looks)
    make = presets.paper if preset == "paper" else presets.mien
    said: dict[str, Any] = {"unfreeze_from": unfreeze_from, "lr_decay_per_layer": own.rate_decay_per_layer}
    if own.rate is not None:
        said["learning_rate"] = own.rate
    config = make(encoder, widths(dataset, eyes, looks)).model_copy(update=said)
    if unfreeze_from is not None:  # a trunk that is solved for frozen features would not fit those of layers that learn
        config = presets.unfrozen(config)
    size = request.batch or BATCH[preset]
    faces = LabelledFaces.open(dataset, eyes, config, ("train", "validation"))
    usual = presets.PAPER_EPOCHS if preset == "paper" else presets.MIEN_EPOCHS
    planned = (own.epochs or usual) * epoch_steps(faces.labels["train"], config, size)
    settings = loop_settings(
        request,
        steps=planned,
        batch_size=size,
        precision="auto" if unfreeze_from else "fp32",
        checkpoint_minutes=5.0,
    )
    outcome = faces.train(out, config, settings, bool(request.resume))
    _write(outcome, faces, config, out, preset)
    return finished(outcome, out)


@dataclass(frozen=True)
class LabelledFaces:
    """The faces of a dataset that teach or calibrate heads, and how the heads get to see them."""

    data: FaceDataset
    encoder: Encoder
    config: AttributesConfig
    rows: Mapping[str, Rows]
    labels: Mapping[str, FaceLabels]

    @classmethod
    def open(
        cls, data: FaceDataset, encoder: Encoder, config: AttributesConfig, splits: tuple[str, ...]
    ) -> LabelledFaces:
        """Of each split the faces with attributes, and where the heads can use them those of known sex or age."""
        import numpy as np

        from mien.datasets.labels import face_labels

        rows: dict[str, Rows] = {}
        for split in splits:
            every = data.rows(split)
            known = face_labels(data, every)
            useful = known.marked
            if config.heads.who is not None or config.unfreeze_from is not None:
                useful = useful | np.isfinite(known.female) | np.isfinite(known.ages_years)
            rows[split] = every[useful]
        return cls(data, encoder, config, rows, {split: face_labels(data, rows[split]) for split in splits})

    def seen(self, split: str) -> npt.NDArray[np.float16]:
        """N D: what the recipe sees of a split; of faces without attributes only the look of sex and age, 0 else."""
        import numpy as np

        from mien.datasets.pooled import pooled

        rows, marked = self.rows[split], self.labels[split].marked
        looks, heads = self.config.heads.looks, self.config.heads
        found = np.zeros((len(rows), sum(heads.widths)), np.float16)
        who: Recipe = tuple(each for each in looks if each.name == heads.who)
        with progress_bars() as bar:
            for part, chosen in ((looks, marked), (who, ~marked)):
                if not part or not chosen.any():
                    continue
                both = heads.mirrored and (split != "train" or (self.config.mirrored_training and part is looks))
                sides = [
                    pooled(
                        self.data, self.encoder, rows[chosen], part, mirrored=side, on_progress=bar(f"{name}, {split}")
                    )
                    for side, name in ((False, "features"), (True, "mirrored"))[: 1 + both]
                ]
                start = 0
                for each, width in zip(looks, heads.widths, strict=True):
                    if each in part:
                        seen = [side[each.name] for side in sides]
                        found[chosen, start : start + width] = np.mean(seen, 0, np.float32) if both else seen[0]
                    start += width
        return found

    def train(self, out: Path, config: AttributesConfig, settings: Any, resume: bool) -> Outcome:
        """Train on the split "train"."""
        from mien.training.attributes import train_attributes

        train = partial(train_attributes, self.labels["train"], run_dir=out, config=config, settings=settings)
        if config.unfreeze_from is not None:
            inputs, moments = self._images()
            return train(inputs, moments=moments, encoder=self.encoder, resume=resume)
        if config.ridge:
            inputs, moments, axes = self._solved(config)
            return train(inputs, moments=moments, axes=axes, resume=resume)
        inputs, moments = self._cached()
        return train(inputs, moments=moments, resume=resume)

    def _images(self) -> tuple[Inputs, Moments]:
        """Crops for an encoder whose layers learn, half of them mirrored."""
        import torch

        from mien.core.images import to_tensor

        rows, marked = self.rows["train"], self.labels["train"].marked
        some = rows[marked][:: max(1, int(marked.sum()) // MOMENT_ROWS)]

        def inputs(chosen: Rows, random: np.random.Generator) -> dict[str, torch.Tensor]:
            crops = to_tensor(self.data.decoded(rows[chosen], CROP_PX))
            mirrored = torch.from_numpy(random.random(len(chosen)) < 0.5)[:, None, None, None]
            return {"images": torch.where(mirrored, crops.flip(3), crops)}

        return inputs, _moments(look_at(self.data, self.encoder, some, self.config.heads.looks, mirrored=False))

    def _cached(self) -> tuple[Inputs, Moments]:
        """Features as they lie in the cache."""
        import numpy as np
        import torch

        features = self.seen("train")

        def inputs(chosen: Rows, random: np.random.Generator) -> dict[str, torch.Tensor]:
            return {"features": torch.from_numpy(features[chosen].astype(np.float32))}

        return inputs, _moments(features[self.labels["train"].marked][::4])

    def _solved(self, config: AttributesConfig) -> tuple[Inputs, Moments, Axes]:
        """The solved trunk, and what it says of each face when that is left out."""
        import numpy as np
        import torch

        from mien.attributes.heads import AttributeHeads
        from mien.training.attributes_axes import solve_axes

        labels = self.labels["train"]
        features = self.seen("train")
        who = self._who(features)
        moments = _moments(features[labels.marked][::4])
        for kept, seen in zip(moments, _moments(who[labels.marked][::4]), strict=True):
            kept[config.heads.who_columns] = seen
        heads = AttributeHeads(config.heads)
        heads.standardise(*moments)
        axes = solve_axes(heads, features[labels.marked], labels.attributes[labels.marked], ridge=config.ridge)
        left_out = torch.zeros(len(labels), axes.left_out.shape[1])
        left_out[torch.from_numpy(labels.marked)] = axes.left_out

        def inputs(chosen: Rows, random: np.random.Generator) -> dict[str, torch.Tensor]:
            return {
                "axes": left_out[torch.from_numpy(chosen)],
                "who": torch.from_numpy(who[chosen].astype(np.float32)),
            }

        return inputs, moments, axes

    def _who(self, features: npt.NDArray[np.float16]) -> npt.NDArray[np.float16]:
        """What sex and age learn from in the split "train" (N W): always faces as they are.

        Most of those faces have no attributes and were seen once. Were the others the mean with their mirror image, a
        smoother look would say which source a face is of, and each source has ages and sexes of its own. (Errors do not
        tell the two ways apart: of 3,369 held-out adults 78 and 85, of all faces 259 and 268.)
        """
        from mien.datasets.pooled import pooled

        heads = self.config.heads
        if not (heads.mirrored and self.config.mirrored_training and heads.who):
            return features[:, heads.who_columns].copy()
        look = tuple(each for each in heads.looks if each.name == heads.who)
        return pooled(self.data, self.encoder, self.rows["train"], look)[heads.who]


def look_at(
    data: FaceDataset, encoder: Encoder, rows: Rows, looks: Recipe, *, mirrored: bool
) -> npt.NDArray[np.float16]:
    """What the encoder as it is now sees of rows (N D), ``mirrored``: and of their mirror images; nothing is kept."""
    import numpy as np
    import torch

    from mien.attributes.features import read_features
    from mien.core.images import to_tensor
    from mien.core.precision import fast_autocast

    parts = []
    for start in range(0, len(rows), 32):
        crops = to_tensor(data.decoded(rows[start : start + 32], CROP_PX))
        with torch.inference_mode(), fast_autocast():
            parts.append(read_features(encoder, crops, looks, mirrored=mirrored).float().numpy().astype(np.float16))
    return np.concatenate(parts)


def _moments(features: npt.NDArray[np.float16]) -> Moments:
    import numpy as np
    import torch

    values = torch.from_numpy(features.astype(np.float32))
    return values.mean(0), values.std(0)


def _write(outcome: Outcome, faces: LabelledFaces, config: AttributesConfig, out: Path, preset: str) -> None:
    """Calibrate on the validation split and write ``RUN/weights.safetensors``."""
    import torch

    from mien.attributes.fitting import fit
    from mien.attributes.heads import AttributeHeads
    from mien.attributes.packing import pack
    from mien.attributes.reader import HeadLogits, raw_readings
    from mien.core.checkpoints import save_weights

    heads = outcome.shown["heads"]
    assert isinstance(heads, AttributeHeads)
    rows = faces.rows["validation"]
    looks = config.heads.looks
    if config.unfreeze_from is not None:
        features = look_at(faces.data, faces.encoder, rows, looks, mirrored=config.heads.mirrored)
    else:
        features = faces.seen("validation")
    raw = [raw_readings(heads, torch.from_numpy(features[k : k + 512]).float()) for k in range(0, len(rows), 512)]
    labels = faces.labels["train"]
    shares = labels.attributes[labels.marked].mean(0)
    calibration = fit(HeadLogits.concatenate(raw), faces.labels["validation"], shares)
    changed = config.unfreeze_from and faces.encoder
    tensors = pack(heads, calibration, changed or None, config.unfreeze_from)
    about = {
        "model": "attributes",
        "version": f"1-{faces.data.fingerprint()[:8]}-{_digest(config)}-{outcome.step}",
        "encoder": config.encoder,
        "preset": preset,
        "heads": config.heads.model_dump(),
        "config": config.model_dump(),
        "faces_with_attributes": int(labels.marked.sum()),
        "faces_without": int((~labels.marked).sum()),
        "usual": [round(float(share), 4) for share in shares],
        "calibrated_on": int(faces.labels["validation"].marked.sum()),
        "sources": sorted({faces.data.faces[int(row)].source for row in faces.rows["train"]}),
    }
    save_weights(out / "weights.safetensors", tensors, about)


def _digest(config: AttributesConfig) -> str:
    """Four hexadecimal digits of what was trained and how."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:4]
