"""Who sees what, in which order: a pure function of the design and of a participant's slot.

Slots are handed out from 0 up. Over the first n slots the pictures of a source are shown equally often, give or take
one; nobody sees a picture twice; the order is random, and the same whenever it is asked for again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mien.core.seeding import stream
from mien.evaluation.study.design import REAL, Design

Kind = Literal["face", "scrambled", "card"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One question: what is shown and what the right answer is."""

    place: int  # from 0
    kind: Kind
    picture: str  # id; "" for a card
    source: str
    real: bool  # the right answer

    @property
    def catch(self) -> bool:
        """Whether it only tests attention."""
        return self.kind != "face"


def window(pool: int, take: int, slot: int, *, seed: int, name: str = "") -> list[int]:
    """Which ``take`` of ``pool`` things slot number ``slot`` gets: neighbours on a ring in random order.

    Slot after slot goes on where the one before ended, so that counts differ by one at most. When the ring closes
    (after pool / gcd(pool, take) slots) its order is drawn anew, so that things do not keep their neighbours.
    """
    if not 0 < take <= pool:
        raise ValueError(f"window: {take} of {pool}")
    turn, start = divmod(slot, pool // math.gcd(pool, take))
    ring = stream(seed, "ring", name, turn).permutation(pool)
    return [int(ring[(start * take + step) % pool]) for step in range(take)]


def trials_of(design: Design, slot: int, attempt: int = 0) -> tuple[Trial, ...]:
    """All trials of one participant. Another ``attempt`` at a slot has the same pictures in another order."""
    random = stream(design.seed, "order", slot, attempt)
    faces: list[tuple[Kind, str, str, bool]] = []
    for source in design.sources:
        pool = design.of("trial", source)
        for index in window(len(pool), design.seen_of(source), slot, seed=design.seed, name=source):
            faces.append(("face", pool[index].id, source, source == REAL))
    order = [faces[int(index)] for index in random.permutation(len(faces))]
    catches: list[tuple[Kind, str, str, bool]] = [
        ("scrambled", one.id, one.source, False) for one in design.of("catch")[: design.scrambled]
    ]
    catches += [("card", "", REAL, True)] * design.cards
    # One in every stretch of equal length, anywhere in it but before the first face.
    for number, index in reversed(list(enumerate(random.permutation(len(catches))))):
        low = len(faces) * number // len(catches) + 1
        high = max(low + 1, len(faces) * (number + 1) // len(catches) + 1)
        order.insert(int(random.integers(low, high)), catches[int(index)])
    return tuple(Trial(place, *one) for place, one in enumerate(order))


def practice_of(design: Design, slot: int, attempt: int = 0) -> tuple[Trial, ...]:
    """The trials before the first that counts, with pictures that no other trial uses."""
    pool = design.of("practice")
    order = stream(design.seed, "practice", slot, attempt).permutation(len(pool))
    return tuple(
        Trial(place, "face", pool[int(index)].id, pool[int(index)].source, pool[int(index)].real)
        for place, index in enumerate(order)
    )


def real_on_left(design: Design, slot: int) -> bool:
    """Whether the left key and button mean "real": so for one of slots 2k and 2k + 1, at random."""
    return bool(stream(design.seed, "sides", slot // 2).integers(2)) == bool(slot % 2)
