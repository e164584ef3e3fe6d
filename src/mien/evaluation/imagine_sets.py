"""The descriptions that `mien imagine` is judged by: a handful of attributes of each of many held-out people."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.attributes import GROUP_OF, NAMES
from mien.attributes.contradictions import CONTRADICTIONS
from mien.attributes.vocabulary import WOMAN
from mien.core.errors import TooFewError
from mien.core.seeding import stream
from mien.evaluation.faces import FaceRow, shuffled

LEAST, MOST = 3, 6  # attributes of a set, its sex included


@dataclass(frozen=True, slots=True)
class AttributeSet:
    """What is wanted of a face, and the photograph that it was read from."""

    row: FaceRow
    wanted: Mapping[str, bool]  # all True but "Male", which False makes a woman

    @property
    def words(self) -> str:
        """What a person would type."""
        return ", ".join(name.lower() if there else "woman" for name, there in self.wanted.items())


def choose_sets(
    rows: Sequence[FaceRow], count: int, *, seed: int = 0, known: Collection[str] = (*NAMES, WOMAN)
) -> list[AttributeSet]:
    """``count`` sets (or as many as there are), each of another person.

    A set is the sex of a photograph and up to ``MOST`` - 1 of the attributes that its source is confident of, any of
    them alike likely, at most one of a group. Photographs with fewer than ``LEAST`` are passed over. ``known``: the
    attributes that every method understands (``WOMAN`` among them where all understand it); no other is asked for.
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


def consistent(row: FaceRow, draws: np.random.Generator, known: Collection[str] = (*NAMES, WOMAN)) -> dict[str, bool]:
    """Some attributes of a photograph, none of which excludes another."""
    sex = {"male": "Male", "female": WOMAN}.get(row.sex or "")
    wanted = {"Male": sex == "Male"} if sex in known else {}
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


@dataclass(frozen=True, slots=True)
class Alike:
    """Real people with something in common, each another person, and how much it is."""

    rows: tuple[FaceRow, ...]  # K
    shared: float  # share of the wanted attributes that their source marks on them, mean
    exact: int  # how many of them have all


def who_share(one: AttributeSet, rows: Sequence[FaceRow], count: int, *, seed: int = 0) -> Alike:
    """The ``count`` people of ``rows`` who share most of a description; among equals any of them alike likely.

    The person that it was read from is not among them; fewer where there are not so many.
    """
    order = stream(seed, "who share", one.row.id).permutation(len(rows))
    shares = [_share(one, rows[int(place)]) for place in order]
    chosen: dict[str, tuple[FaceRow, float]] = {}
    for place in np.argsort([-share for share in shares], kind="stable"):
        row = rows[int(order[place])]
        person = row.person or row.id
        if person != (one.row.person or one.row.id) and person not in chosen:
            chosen[person] = (row, shares[place])
        if len(chosen) == count:
            break
    found = list(chosen.values())
    values = [share for _, share in found]
    return Alike(tuple(row for row, _ in found), float(np.mean(values or [0])), sum(share == 1 for share in values))


def nearest(row: FaceRow, rows: Sequence[FaceRow]) -> tuple[FaceRow, int]:
    """The other person of the same sex whose marks are most like (Jaccard) those of ``row``; how many they share."""
    own = set(row.present)
    best: tuple[float, FaceRow, int] | None = None
    for other in rows:
        if (other.person or other.id) == (row.person or row.id) or other.sex != row.sex:
            continue
        both = len(own & set(other.present))
        likeness = both / max(len(own | set(other.present)), 1)
        if best is None or likeness > best[0]:
            best = (likeness, other, both)
    if best is None:
        raise TooFewError(f"{row.id}: nobody else of the same sex to compare with")
    return best[1], best[2]


def _share(one: AttributeSet, row: FaceRow) -> float:
    """Of what is wanted, the share that the source of ``row`` says is there."""
    sex = None if row.sex is None else row.sex == "male"
    there = [sex is value if name == "Male" else name in row.present for name, value in one.wanted.items()]
    return float(np.mean(there))
