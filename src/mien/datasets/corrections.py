"""What people said of the labels of a prepared dataset: kept beside it, never in it, and applied when rows are read.

``DEST/review.json`` names the dataset (at random, once) and its store: ``DEST/review.sqlite``, or a PostgreSQL of which
several datasets may use one. ``corrected`` is the one place where catalogue and decisions meet; everything that
trains or judges reads its rows through it. ``catalog.parquet`` stays as the sources said it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.errors import DatasetError, RequestError
from mien.core.files import write_json
from mien.core.foreign import json_of
from mien.datasets.catalog import CatalogRow
from mien.datasets.decisions import SQLITE, Decision, ReviewPlace, Value

if TYPE_CHECKING:
    from mien.core.database import Store

PLACE = "review.json"
PLACE_VERSION = 1
REJECTED = "rejected"  # the reason of a face that a reviewer took out


def label_of(row: CatalogRow, label: str) -> Value:
    """What a row says of ``sex``, ``age`` or an attribute; None: nothing."""
    if label == "sex":
        return row.sex
    if label == "age":
        return row.age_years
    if label in row.attributes_present:
        return True
    return False if label in row.attributes_absent else None


def with_decision(row: CatalogRow, decision: Decision) -> CatalogRow:
    """The row as the decision has it; a rejected one keeps its place and loses split and labels."""
    if decision.verdict == "rejected":
        return dataclasses.replace(
            row, drop_reason=REJECTED, split=None, sex=None, age_years=None, race=None, person=None,
            attributes_present=(), attributes_absent=(),
        )  # fmt: skip
    new: dict[str, Any] = {}
    present, absent = list(row.attributes_present), list(row.attributes_absent)
    for label, value in decision.changes.items():
        if label in ("sex", "age"):
            new["sex" if label == "sex" else "age_years"] = value
        if label == "age":
            continue
        if label == "sex":  # sources of attributes have an attribute that says the same
            label, value = "Male", None if value is None else value == "male"
            if label not in (*present, *absent):
                continue
        present, absent = ([name for name in names if name != label] for names in (present, absent))
        if value is not None:
            (present if value else absent).append(label)
    return dataclasses.replace(row, **new, attributes_present=tuple(present), attributes_absent=tuple(absent))


def corrected(dest: Path, rows: Sequence[CatalogRow]) -> list[CatalogRow]:
    """Rows of the catalogue of DEST as people corrected them, in their order.

    ``StoreError`` where there were reviews and their store does not answer: never in silence as if there were none.
    """
    decisions = standing(dest)
    found = []
    for row in rows:
        decision = decisions.get(row.id)
        applies = decision is not None and decision.sha256 == row.sha256 and row.shard is not None
        found.append(with_decision(row, decision) if decision is not None and applies else row)
    return found


def digest(rows: Iterable[CatalogRow]) -> str:
    """16 hexadecimal digits of the labels of ``rows``; "" of none."""
    labels = [
        [row.id, row.drop_reason, row.sex, row.age_years, sorted(row.attributes_present), sorted(row.attributes_absent)]
        for row in rows
    ]
    return hashlib.sha256(json.dumps(labels).encode()).hexdigest()[:16] if labels else ""


def standing(dest: Path) -> dict[str, Decision]:
    """Face -> the decision that stands, of every face that has one."""
    place = review_place(dest)
    if place is None:
        return {}
    from mien.datasets import corrections_store

    store = corrections_store.opened(dest, place, make=False)
    try:
        return corrections_store.standing(store, place.dataset)
    finally:
        store.close()


def review_place(dest: Path) -> ReviewPlace | None:
    """``DEST/review.json``; None where nothing was reviewed."""
    path = dest / PLACE
    try:
        said = json_of(path.read_text(encoding="utf-8"))
        if said["version"] != PLACE_VERSION:
            raise DatasetError(f"{path}: version {said['version']}, this mien reads version {PLACE_VERSION}")
        return ReviewPlace(str(said["dataset"]), str(said["store"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: cannot be read ({type(error).__name__}); corrections would be lost") from error


def settle_place(dest: Path, store: str | None = None) -> tuple[ReviewPlace, Store]:
    """The place of a dataset's reviews and its open store; chosen now where there is none yet.

    ``RequestError`` where ``store`` is another one than that of earlier reviews.
    """
    from mien.core.database import address, without_password
    from mien.datasets import corrections_store

    at_home = without_password(address(dest / SQLITE))
    wanted = at_home if store is None else without_password(address(store))
    place = review_place(dest)
    if place is None:
        place = ReviewPlace(uuid.uuid4().hex, SQLITE if wanted == at_home else wanted)
        corrections_store.opened(dest, place, make=True, asked=store).close()
        place = _first(dest, place)
    known = at_home if place.store == SQLITE else place.store
    if store is not None and wanted != known:
        told = f"remove {dest / PLACE} to begin anew elsewhere"
        raise RequestError(f"--store: the reviews of {dest} are in {place.store}; {told}")
    return place, corrections_store.opened(dest, place, make=True, asked=store)


def _first(dest: Path, place: ReviewPlace) -> ReviewPlace:
    """Write the place down, unless another process was first: then its place."""
    part = dest / f".{PLACE}.{place.dataset}.tmp"
    write_json(part, {"version": PLACE_VERSION, "dataset": place.dataset, "store": place.store})
    try:
        os.link(part, dest / PLACE)  # unlike a rename, it replaces nothing
    except FileExistsError:
        return review_place(dest) or place
    finally:
        part.unlink(missing_ok=True)
    return place
