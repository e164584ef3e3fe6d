"""The descriptions that `mien imagine` is judged by: a handful of attributes of each of many held-out people."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.evaluation.faces import Row, shuffled
from mien.faces.attributes import GROUP_OF, NAMES
from mien.faces.attributes.words import CONTRADICTIONS
from mien.seeding import stream

LEAST, MOST = 3, 6  # attributes of a set, its sex included


@dataclass(frozen=True, slots=True)
class AttributeSet:
    """What is wanted of a face, and the photograph that it was read from."""

    row: Row
    wanted: Mapping[str, bool]  # all True but "Male", which False makes a woman

    @property
    def words(self) -> str:
        """What a person would type."""
        return ", ".join(name.lower() if there else "woman" for name, there in self.wanted.items())


def choose_sets(
    rows: Sequence[Row], count: int, *, seed: int = 0, known: Collection[str] = NAMES
) -> list[AttributeSet]:
    """``count`` sets (or as many as there are), each of another person.

    A set is the sex of a photograph and up to ``MOST`` - 1 of the attributes that its source is confident of, any of
    them alike likely, at most one of a group. Photographs with fewer than ``LEAST`` are passed over. ``known``: the
    attributes that every method understands; no other is asked for.
    """
    found: list[AttributeSet] = []
    people: set[str] = set()
    for row in shuffled(rows, seed=seed):
        if len(found) == count:
            break
        person = row.person or row.id
        wanted = consistent(row, stream(seed, "attribute set", row.id), known)
        if person not in people and len(wanted) >= LEAST:
            people.add(person)
            found.append(AttributeSet(row, wanted))
    return found


def consistent(row: Row, draws: np.random.Generator, known: Collection[str] = NAMES) -> dict[str, bool]:
    """Some attributes of a photograph, none of which excludes another."""
    wanted = {} if row.sex is None else {"Male": row.sex == "male"}
    marked = sorted((set(row.present) & set(known)) - {"Male"})
    for place in draws.permutation(len(marked)):
        name = marked[int(place)]
        if len(wanted) == MOST:
            break
        both = wanted | {name: True}
        excluded = any(all(both.get(other) is there for other, there in pair) for pair in CONTRADICTIONS)
        if not excluded and all(GROUP_OF[other] != GROUP_OF[name] for other in wanted):
            wanted = both
    return wanted


def obeyed(found: npt.NDArray[np.bool_], sets: Sequence[AttributeSet]) -> list[npt.NDArray[np.bool_]]:
    """What a judge found (P K 73: K faces of each of P sets) -> of each set: does each face have each wanted (K W)?"""
    answers = []
    for seen, one in zip(found, sets, strict=True):
        columns = [NAMES.index(name) for name in one.wanted]
        answers.append(seen[:, columns] == np.array(list(one.wanted.values())))
    return answers
