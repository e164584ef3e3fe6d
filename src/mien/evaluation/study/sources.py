"""Where the pictures of a study come from: a directory of square pictures, or the crops of a prepared dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.core.errors import PhotoError, RequestError
from mien.core.foreign import json_of
from mien.core.images import is_grey
from mien.core.photos import read_photo
from mien.core.records import Labels, Sex, UInt8Image
from mien.datasets import catalog
from mien.datasets.batches import FaceDataset
from mien.datasets.sources import folder
from mien.evaluation.study.design import Background
from mien.evaluation.study.treatment import shown_inside

MASK_PX = 64  # resolution at which mirrored borders are looked for


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture that may become part of a study. ``read`` gives it (H H 3) or raises ``PhotoError``."""

    origin: str
    labels: Labels
    read: Callable[[], UInt8Image]


def candidates(
    where: Path, *, split: str, sources: Sequence[str], background: Background, model: bool = False
) -> list[Candidate]:
    """Everything in a directory of pictures, or in one split of a prepared dataset (one photo a person)."""
    if not where.is_dir():
        raise RequestError(f"{where}: no such directory; wanted pictures{'' if model else ' or a prepared dataset'}")
    if not model and catalog.read_manifest(where) is not None:
        return _of_dataset(where, split, sources, background)
    if sources:
        raise RequestError(f"--source: {where} is no prepared dataset; only those have sources")
    return _of_folder(where)


def _of_folder(where: Path) -> list[Candidate]:
    manifest = where / "manifest.jsonl"
    if manifest.is_file():  # what mien made: other pictures beside it (a sheet) are none of it
        lines = manifest.read_text(encoding="utf-8", errors="replace").splitlines()
        return [_listed(where, line, number) for number, line in enumerate(lines, 1)]
    return [
        Candidate(photo.key, photo.labels, lambda path=Path(photo.path): _file(path))  # type: ignore[misc]
        for photo in folder.rows(where)
        if photo.drop_reason is None
    ]


def _listed(where: Path, line: str, number: int) -> Candidate:
    try:
        row = json_of(line)
        name = str(row["file"])
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{where / 'manifest.jsonl'}, line {number}: no JSON object with 'file'") from error
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise RequestError(f"{where / 'manifest.jsonl'}, line {number}: 'file' leaves the directory")
    sex: Sex | None = row.get("sex") if row.get("sex") in ("female", "male") else None
    age = row.get("age")
    known = float(age) if isinstance(age, int | float) else None
    return Candidate(name, Labels(sex=sex, age_years=known), lambda: _file(where / name))


def _file(path: Path) -> UInt8Image:
    photo = read_photo(path)
    if photo.shape[0] != photo.shape[1]:
        size = f"{photo.shape[1]} x {photo.shape[0]} px"
        raise RequestError(f"{path}: {size}; wanted are square pictures with the face at one place (aligned crops)")
    return photo


def _of_dataset(dest: Path, split: str, sources: Sequence[str], background: Background) -> list[Candidate]:
    data = FaceDataset.open(dest)
    there = sorted({face.source for face in data.faces})
    for name in sources:
        if name not in there:
            raise RequestError(f"--source: '{name}' given; {dest} has {', '.join(there)}")
    found: list[Candidate] = []
    people: set[str] = set()
    for row in data.rows(split):
        face = data.faces[int(row)]
        who = f"{face.source}:{face.person}" if face.person else face.id
        if (sources and face.source not in sources) or who in people:
            continue
        people.add(who)
        labels = Labels(sex=face.sex, age_years=face.age_years, person=face.person)  # type: ignore[arg-type]
        found.append(Candidate(face.id, labels, lambda row=int(row): _crop(data, row, background)))  # type: ignore[misc]
    return found


def _crop(data: FaceDataset, row: int, background: Background) -> UInt8Image:
    if not shown_inside(data.mask(row, MASK_PX), background):
        raise PhotoError("mirrored_border", "the photograph ends within the crop")
    return np.asarray(data.decoded(np.array([row]))[0], np.uint8)


def usable(candidate: Candidate) -> tuple[UInt8Image, str]:
    """A picture and the SHA-256 of its pixels. ``PhotoError`` (reason ``grey``, ...) where it may not be shown."""
    photo = candidate.read()
    if is_grey(photo):  # no generator makes these: the lack of colour would tell
        raise PhotoError("grey", f"{candidate.origin}: has no colour")
    return photo, hashlib.sha256(repr(photo.shape).encode() + photo.tobytes()).hexdigest()
