"""Codes of a dataset under a trained decoder: what the density learns; and the file that carries both networks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mien.core.checkpoints import save_weights
from mien.core.images import to_tensor
from mien.core.progress import OnProgress
from mien.core.quantise import packed
from mien.core.records import Labels, Sex
from mien.generators.conditions import ATTRIBUTES, WIDTH, condition
from mien.generators.crowd.mien import MODEL, MienConfig
from mien.generators.density import DensityConfig
from mien.training.density import principal_axes
from mien.training.loop import Outcome
from mien.training.probes import balanced_weights, ridge, scores

FloatArray = npt.NDArray[np.float32]
BLOCK = 128
PACKED = 100_000  # numbers of a layer that is packed


class LabelledRow(Protocol):
    """What is read of a face of a dataset."""

    @property
    def sex(self) -> str | None: ...
    @property
    def age_years(self) -> float | None: ...
    @property
    def person(self) -> str | None: ...
    @property
    def race(self) -> str | None: ...
    @property
    def attributes_present(self) -> tuple[str, ...]: ...
    @property
    def attributes_absent(self) -> tuple[str, ...]: ...


class ViewSet(Protocol):
    """What is read of a set of views (``datasets/views.py``)."""

    @property
    def features(self) -> npt.NDArray[np.float16]: ...

    def __len__(self) -> int: ...

    def face(self, place: int) -> LabelledRow:
        """The face of a view."""

    def shown(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """What the encoder saw: N S S 3."""


@dataclass(frozen=True, slots=True)
class Codes:
    """N codes with what is unsure of them, and their labels as numbers."""

    codes: FloatArray  # N D
    spreads: FloatArray  # N D: deviation of each value (the style's own; 0 for the axes)
    conditions: FloatArray  # N C


def standardised(decoder: Any, features: npt.NDArray[Any]) -> FloatArray:
    """Features N F as the decoder reads them."""
    mean, deviation = decoder.mean.cpu().numpy(), decoder.deviation.cpu().numpy()
    return np.asarray((features.astype(np.float32) - mean) / deviation, np.float32)


def frame_of(decoder: nn.Module, features: npt.NDArray[Any], config: DensityConfig) -> tuple[Tensor, Tensor]:
    """The principal axes of the features and the deviation along each."""
    return principal_axes(standardised(decoder, features), config.axes)


def soft_scores(decoder: nn.Module, views: ViewSet) -> Callable[[FloatArray], FloatArray]:
    """A function from standardised features N F to scores N A in [-1, 1] of ``conditions.ATTRIBUTES``.

    Learned on the faces whose source marks attributes.
    """
    names = tuple(ATTRIBUTES)
    faces = [views.face(place) for place in range(len(views))]
    known = np.array([[bool(f.attributes_present or f.attributes_absent)] * len(names) for f in faces])
    present = np.array([[name in f.attributes_present for name in names] for f in faces])
    some = known[:, 0]
    if not some.any():
        return lambda features: np.zeros((len(features), len(names)), np.float32)
    values = standardised(decoder, views.features[some])
    signs = np.where(present[some], 1.0, -1.0).astype(np.float32)
    found = ridge(values, signs, balanced_weights(present[some], known[some]))
    return lambda features: scores(features, found)


def labelled_codes(
    networks: Mapping[str, nn.Module],
    views: ViewSet,
    frame: tuple[Tensor, Tensor],
    scored: Callable[[FloatArray], FloatArray],
    on_progress: OnProgress | None = None,
) -> Codes:
    """The code and the condition of every view."""
    axes, deviation = frame[0].numpy(), frame[1].numpy()
    device = next(networks["style"].parameters()).device
    codes, spreads, conditions = [], [], []
    for start in range(0, len(views), BLOCK):
        places = np.arange(start, min(start + BLOCK, len(views)))
        values = standardised(networks["decoder"], views.features[places])
        with torch.inference_mode():
            mean, log_variance = networks["style"](to_tensor(views.shown(places)).to(device))
            spread = (log_variance / 2).exp()
        codes.append(np.concatenate([values @ axes / deviation, mean.cpu().numpy()], 1))
        spreads.append(np.concatenate([np.zeros_like(codes[-1][:, : len(deviation)]), spread.cpu().numpy()], 1))
        rows = zip(places, scored(values), strict=True)
        conditions += [_condition(views.face(int(place)), row) for place, row in rows]
        if on_progress is not None:
            on_progress(int(places[-1]) + 1, len(views))
    stacked = np.stack(conditions) if conditions else np.zeros((0, WIDTH), np.float32)
    return Codes(np.concatenate(codes).astype(np.float32), np.concatenate(spreads).astype(np.float32), stacked)


def person_weights(people: Sequence[str | None]) -> FloatArray:
    """Weights of faces by their persons: one of n weighs 1/sqrt(n), so that nobody photographed often fills a crowd."""
    counts = Counter(person for person in people if person is not None)
    return np.array([1.0 if person is None else counts[person] ** -0.5 for person in people], np.float32)


def _condition(face: LabelledRow, row: FloatArray) -> FloatArray:
    sex: Sex | None = "female" if face.sex == "female" else "male" if face.sex == "male" else None
    labels = Labels(sex, face.age_years, None, face.race)
    return condition(labels, dict(zip(ATTRIBUTES, row.tolist(), strict=True)))


def export(
    path: Path,
    decoder: Outcome,
    density: Outcome,
    about: Mapping[str, Any],
    *,
    images_before: int = 0,
    codes_before: int = 0,
) -> None:
    """Write both averaged networks (large layers in a byte a weight) with their configuration and ``about``.

    ``images_before`` and ``codes_before``: what decoder and density had seen before their runs began.
    """
    images, codes = decoder.images + images_before, density.images + codes_before
    networks = {"decoder": decoder.shown["decoder"], "density": density.shown["density"]}
    shape: Any = networks
    config = MienConfig(decoder=shape["decoder"].config, density=shape["density"].config)
    tensors = {f"{name}.{key}": value for name, part in networks.items() for key, value in part.state_dict().items()}
    metadata = {
        "model": MODEL,
        "version": f"{MODEL}-{images // 1000}k-{codes // 1000}k",
        "config": config.model_dump(mode="json"),
        "images_seen": images,
        "codes_seen": codes,
        **about,
    }
    save_weights(path, packed(tensors, large=PACKED), metadata, dtype=torch.float16)
