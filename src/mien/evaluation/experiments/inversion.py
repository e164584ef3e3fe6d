"""Figure 5: a target, what its own activations give back, and what the mixture's activations give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.core.images import caption, sheet
from mien.core.records import UInt8Image
from mien.evaluation.crowd_judged import face_found
from mien.evaluation.plots import lines
from mien.evaluation.report import Better, Figure, Report, ReportPicture, ReportProvenance, Section


@dataclass(frozen=True, slots=True)
class Inverted:
    """A picture, the losses on the way (T), the learning rate, and how far it is from the target."""

    name: str
    photo: UInt8Image  # S S 3
    losses: Sequence[float]
    rate: float
    distance: float  # |phi(target) - phi(picture)|^2 / |phi(target)|^2 at the layer
    cosine: float  # of the encoder's last features
    seconds: float
    found: bool  # whether a cascade finds a face

    @property
    def alike(self) -> float:
        """The cosine; of a picture without a face at most 0."""
        return self.cosine if self.found else min(self.cosine, 0.0)


def inversion_report(
    target: UInt8Image,
    found: Sequence[Inverted],
    layer: str,
    provenance: ReportProvenance,
) -> Report:
    """The report with the figure: ``target`` (S S 3) first, then each of ``found``."""
    figures = []
    for one in found:
        figures.append(face_found(layer, one.name, np.array([one.found])))
        rows: tuple[tuple[str, str, float, Better], ...] = (
            ("distance", f"distance to the target at {layer}, share of its square", one.distance, "lower"),
            ("cosine", "cosine of the features of a person with the target's", one.alike, "higher"),
            ("steps", "steps", float(len(one.losses)), ""),
            ("rate", "learning rate", one.rate, ""),
            ("loss-first", "loss at the beginning", one.losses[0], ""),
            ("loss-last", "loss at the end", one.losses[-1], "lower"),
            ("seconds", "seconds, by the clock", one.seconds, ""),
        )
        figures += [
            Figure(f"{key}_{layer}_n1", label, one.name, value, 1, better=better) for key, label, value, better in rows
        ]
    side = target.shape[0]
    panels = [("target", target), *((one.name, one.photo) for one in found)]
    tiles = [np.concatenate([photo, caption(name, side, max(side // 8, 14))]) for name, photo in panels]
    pictures = (
        ReportPicture("inversion", "Figure 5: " + ", ".join(name for name, _ in panels), sheet(tiles, len(tiles))),
        ReportPicture(
            "convergence", "The losses on the way", lines({o.name: o.losses for o in found}, x="step", y="loss")
        ),
    )
    text = (
        'The paper\'s figure 5 has the target, "vanilla feature inversion" from its own activations, and cGMM feature '
        f"inversion from what the mixture expects of its attributes; here at `{layer}`. A picture in which no cascade "
        "finds a face has a cosine of at most 0."
    )
    summary = "; ".join(
        f"{one.name}: loss {one.losses[0]:.2f} to {one.losses[-1]:.3f} in {len(one.losses)} steps, cosine "
        f"{one.alike:.2f}"
        for one in found
    )
    return Report("Figure 5", summary, (Section("Figure 5", text, tuple(figures), (), pictures),), provenance)
