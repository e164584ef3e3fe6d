"""Fitting the neutraliser of portraits (``generators/portrait/neutral``): probes, and how one person's photos differ.

What features say of the person is fitted beside them (``portrait_person``).
Nothing is trained by gradients: two minutes on one CPU thread for LFW's 9,248 training faces of 4,000 people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mien.core.checkpoints import save_weights
from mien.core.config import Config
from mien.core.errors import DatasetError
from mien.core.records import Float32Array, UInt8Image
from mien.generators.decoder import Decoder
from mien.generators.portrait.mien import MODEL, digest
from mien.generators.portrait.neutral import READINGS, NeutralConfig, Neutraliser
from mien.generators.portrait.refine import STRIP, STRIP_LOW
from mien.training.portrait_person import MOST_PHOTOS, person_directions
from mien.training.probes import balanced_weights, ridge

# What a portrait keeps as the probes read it: who the person is, and what they wear in their face and on their head.
KEPT = (
    *("Male", "Asian", "White", "Black", "Indian", "Child", "Youth", "Senior"),
    *("Bald", "Bangs", "Receding Hairline", "Wavy Hair", "Straight Hair", "Curly Hair"),
    *("Black Hair", "Blond Hair", "Brown Hair", "Gray Hair", "Eyeglasses", "Mustache", "No Beard"),
)
NEUTRAL_DEGREES = 8.0  # faces within it, not smiling, mouth closed, say what neutral reads like


class NeutralFitConfig(Config):
    """What is wanted of a portrait, in the probes' units, and how much the probes are held back."""

    penalty: float = 0.05
    background_light: float = 1.5  # (mean of 0 to 255 - 128) / 40; at 3, white, long hair goes with the dark around it
    background_roughness: float = 0.3  # deviation / 20
    hat: float = -2.0  # bare heads read -0.7, hats 0.7; at -0.7 some hats leave shadows on foreheads
    person_directions: int = 128  # 0: features stay as they were read; more change no embedding by 0.002
    person_strength: float = 0.3  # of what is the photo's own; the model's 1 draws more alike, and others likewise
    person_floor: float = 0.3


@dataclass(frozen=True, slots=True)
class PhotographedFaces:
    """N photographed faces: their codes and what is known of each."""

    known: Float32Array  # N F: standardised features
    style: Float32Array  # N S
    crops: UInt8Image  # N s s 3
    yaw_degrees: Float32Array  # N
    pitch_degrees: Float32Array  # N
    smiling: npt.NDArray[np.bool_]  # N: the source marks it
    mouth_closed: npt.NDArray[np.bool_]  # N
    people: Sequence[str | None]  # N
    kept: npt.NDArray[np.bool_] | None = None  # N A: marks of attributes that are to stay (``KEPT``)
    hat: npt.NDArray[np.bool_] | None = None  # N: the source marks it; None: nobody wears one
    children: Float32Array | None = None  # M F: nameless children's features, each a person of its own


def light_readings(crops: UInt8Image) -> Float32Array:
    """Of crops N s s 3: light of the face's left minus right half / 20, of the background (- 128) / 40, roughness / 20.

    The background is taken to be the upper part of the strips at both sides, as where portraits are refined.
    """
    side = crops.shape[1]
    values = crops.astype(np.float32)
    strip, low = round(STRIP * side), round(STRIP_LOW * side)
    edges = np.concatenate([values[:, :low, :strip], values[:, :low, -strip:]], 2).reshape(len(crops), -1, 3)
    top, bottom, left, right = (round(share * side) for share in (0.35, 0.78, 0.27, 0.73))
    face = values[:, top:bottom, left:right].mean(3)
    middle = face.shape[2] // 2
    sidelight = face[:, :, :middle].mean((1, 2)) - face[:, :, middle:].mean((1, 2))
    columns = (sidelight / 20, (edges.mean((1, 2)) - 128) / 40, edges.std(1).mean(1) / 20)
    return np.stack(columns, 1).astype(np.float32)


def within_people(codes: Float32Array, people: Sequence[str | None]) -> Float32Array:
    """Differences of codes (N D) from the mean of their person, weighted: R D, whose R^T R / R is the covariance.

    A person weighs as many photos as there are, but no more than ``MOST_PHOTOS``. ``DatasetError`` where nobody was
    photographed twice.
    """
    places: dict[str, list[int]] = {}
    for place, person in enumerate(people):
        if person is not None:
            places.setdefault(person, []).append(place)
    several = [own for own in places.values() if len(own) > 1]
    if not several:
        raise DatasetError("portraits: nobody in the training split was photographed twice; named people are wanted")
    rows = []
    for own in several:
        weight = min(len(own), MOST_PHOTOS) / (len(own) - 1)  # the sum of squares is n - 1 variances
        rows.append((codes[own] - codes[own].mean(0)) * np.sqrt(weight))
    return np.concatenate(rows).astype(np.float32)


def fit(seen: PhotographedFaces, config: NeutralFitConfig | None = None) -> Neutraliser:
    """The neutraliser of faces ``seen``."""
    config = config or NeutralFitConfig()
    codes = np.concatenate([seen.known, seen.style], 1)
    hat = np.zeros_like(seen.smiling) if seen.hat is None else seen.hat
    marks = np.stack([seen.smiling, seen.mouth_closed, hat], 1)
    scores = np.where(marks, 1.0, -1.0)
    targets = np.column_stack(
        [seen.yaw_degrees / 10, seen.pitch_degrees / 10, scores[:, :2], light_readings(seen.crops), scores[:, 2]]
    ).astype(np.float32)
    weights = np.ones_like(targets)
    weights[:, [2, 3, 7]] = balanced_weights(marks, np.ones_like(marks))
    coefficients = ridge(codes, targets, weights, config.penalty).astype(np.float64)
    probes, offset = coefficients[:-1], coefficients[-1]

    neutral = (
        (np.abs(seen.yaw_degrees) < NEUTRAL_DEGREES)
        & (np.abs(seen.pitch_degrees) < NEUTRAL_DEGREES)
        & ~seen.smiling
        & seen.mouth_closed
    )
    if not neutral.any():
        raise DatasetError("portraits: no training face looks ahead, marked 'Mouth Closed' and not 'Smiling'")
    wanted = (codes[neutral] @ probes + offset).mean(0)
    wanted[[0, 1, 4, 5, 6]] = 0.0, 0.0, 0.0, config.background_light, config.background_roughness
    if hat.any():
        wanted[7] = config.hat

    # What is kept is read like the rest and asked to stay as it is: its moves are never used.
    bound = probes if seen.kept is None else np.concatenate([probes, _probes_of(codes, seen.kept, config.penalty)], 1)
    differences = within_people(codes, seen.people).astype(np.float64)
    along = differences.T @ (differences @ bound) / len(differences)  # D k: M = C P
    # (M^T P)^-1 M^T; a reading that is the same in all photos has no direction and moves nothing
    moves = np.linalg.pinv(along.T @ bound, rcond=1e-6, hermitian=True) @ along.T
    size, rank = seen.known.shape[1], min(config.person_directions, seen.known.shape[1])
    made = Neutraliser(NeutralConfig(features=size, style=seen.style.shape[1], readings=READINGS, person=rank))
    known, people = seen.known, list(seen.people)
    if seen.children is not None:
        known = np.concatenate([known, seen.children])
        people += [f"child {place}" for place in range(len(seen.children))]
    person = person_directions(known, people, strength=config.person_strength, floor=config.person_floor, rank=rank)
    values = {
        "probes": probes,
        "offset": offset,
        "targets": wanted,
        "moves": moves[: len(READINGS)],
        "style": seen.style[neutral].mean(0),
    }
    if rank:
        values |= {"common": person.common, "inward": person.inward, "outward": person.outward}
    for name, value in values.items():
        getattr(made, name).copy_(torch.from_numpy(np.ascontiguousarray(value)).float())
    return made


def _probes_of(codes: Float32Array, marks: npt.NDArray[np.bool_], penalty: float) -> npt.NDArray[np.float64]:
    """Ridge probes (D A) of marks (N A) in codes (N D), all by one decomposition; a mark that all share is left out."""
    marks = marks[:, marks.any(0) & ~marks.all(0)]
    x = codes.astype(np.float64) - codes.mean(0)
    y = np.where(marks, 1.0, -1.0)
    gram = x.T @ x + penalty * len(x) * np.eye(x.shape[1])
    return np.asarray(np.linalg.solve(gram, x.T @ (y - y.mean(0))), np.float64)


def export(
    path: Path, neutraliser: Neutraliser, decoder: Decoder, about: dict[str, Any], *, with_decoder: bool
) -> None:
    """Write the neutraliser (float32, directions of people float16) and, unless it travels elsewhere, the decoder."""
    tensors = {
        f"neutraliser.{name}": value.to(torch.float16) if name in ("inward", "outward") else value
        for name, value in neutraliser.state_dict().items()
    }
    if with_decoder:
        tensors |= {f"decoder.{name}": value.to(torch.float16) for name, value in decoder.state_dict().items()}
    own = digest(decoder.state_dict())
    metadata = {
        "model": MODEL,
        "version": f"{MODEL}-{own}-{digest(neutraliser.state_dict(), whole=True)[:8]}",
        "config": neutraliser.config.model_dump(mode="json"),
        "decoder": decoder.config.model_dump(mode="json"),
        "decoder_digest": own,
        "encoder": {"name": "facenet", "tap": "pool", "input": "the encoder's window of the aligned crop, 160 px"},
        **about,
    }
    save_weights(path, tensors, metadata)
