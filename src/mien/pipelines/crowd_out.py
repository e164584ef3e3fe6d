"""Crowds written into a directory, whole or what an earlier run left open, with their manifest and a sheet."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from mien.core.contract import FaceRequest, make
from mien.core.errors import RequestError
from mien.core.progress import OnProgress
from mien.pipelines.faces_out import RunOutput
from mien.pipelines.pictures import face_row, marked_row
from mien.pipelines.request import FacesRequest

if TYPE_CHECKING:
    from mien.core.records import MadeFace
    from mien.generators.crowd.sampler import Crowd
    from mien.provenance.marks import Marks

SHEET_COLUMNS = 8
WRITERS = 2  # threads that write files while the next faces are made: waiting for the disk costs no time
CHUNK = 64  # faces made between two reports of progress
ABOUT_A_CAST = ("row", "cells")  # what a manifest says of a cast list, and a face does not depend on

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class FaceTask:
    """One face to be made and written; ``more`` goes into its row of the manifest, in place of what stands there."""

    request: FaceRequest
    look: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def row(self, model: Crowd) -> dict[str, Any]:
        """The row of the manifest."""
        makes = model.generator
        return {**face_row(self.request, makes.name, makes.version), **self.more}


def tasks_of(request: FacesRequest, seed: int, *, look: str | None = None, **more: Any) -> Iterator[FaceTask]:
    """The faces of a request, in order; their own seed goes before ``seed``."""
    from mien.core.limits import age_range
    from mien.generators.crowd.sampler import request_for

    seed = seed if request.seed is None else request.seed
    ages = age_range(request.description.ages_years)
    for index in range(request.first, request.first + request.count):
        yield FaceTask(request_for(request.labels, ages, seed, index), look, more)


def load_looks(
    looks: Iterable[str | None],
    preset: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    device: str | None = None,
    size_px: int | None = None,
) -> Callable[[str | None], Crowd]:
    """A crowd for each look, loaded once (``crowd.load_crowd``) and of that size. ``RequestError`` as that says."""
    from mien.pipelines.crowd import load_crowd

    path = None if weights is None else os.fspath(weights)
    plain = load_crowd(preset, weights=path, device=device).at(size_px)
    return {look: plain.looking(look) for look in looks}.__getitem__


def earlier_seed(rows: Rows) -> int | None:
    """The seed of the run that left these rows; ``None`` where they do not say."""
    seeds = (row.get("seed") for row in rows if "seed" not in (row.get("cells") or {}))
    return next((seed for seed in seeds if isinstance(seed, int)), None)


def write_crowd(
    model_of: Callable[[str | None], Crowd],
    tasks: Iterable[FaceTask],
    count: int,
    output: RunOutput,
    marks: Marks,
    *,
    sheet: bool = False,
    about: str = "",
    on_progress: OnProgress | None = None,
) -> int:
    """Write the faces of ``tasks`` (``count``), and one picture of them all if asked for; how many had to be made.

    Args:
        model_of: the crowd that makes faces of a look.
        output: where to; if it is resumed, faces that lie there as they are asked for stay.
        about: what the sheet says of itself.

    Raises:
        RequestError: a resumed run that finds faces, but none that is asked for.
    """
    done: dict[str, Callable[[str], MadeFace]] = {}
    if output.resume:
        tasks = list(tasks)
        done = _kept(model_of, tasks, output, marks)
    else:
        output.begin()
    names: list[str] = []
    tiles: dict[str, MadeFace] = {}
    made = 0
    with ThreadPoolExecutor(WRITERS) as pool:
        last: list[Future[Any]] = []
        for chunk in _chunks(tasks):
            model = model_of(chunk[0].look)
            rows = [task.row(model) for task in chunk]
            names += [row["file"] for row in rows]
            missing = [place for place, row in enumerate(rows) if row["file"] not in done]
            faces = make(model.generator, [chunk[place].request for place in missing])
            for future in last:
                future.result()  # a full disk ends the run here; and no more than two chunks are ever held
            last = [
                pool.submit(output.put_face, made + number, face.image, rows[place], marks)
                for number, (place, face) in enumerate(zip(missing, faces, strict=True))
            ]
            made += len(faces)
            if sheet:
                tiles |= {rows[place]["file"]: face for place, face in zip(missing, faces, strict=True)}
            if on_progress is not None:
                on_progress(len(names), count)
        for future in last:
            future.result()
    output.order(names)
    if sheet:
        _write_sheet([tiles.get(name) or done[name](name) for name in names], output, marks, about)
    return made


def _chunks(tasks: Iterable[FaceTask]) -> Iterator[list[FaceTask]]:
    """Pieces of one look each."""
    numbered = groupby(enumerate(tasks), key=lambda pair: (pair[0] // CHUNK, pair[1].look))
    for _, pairs in numbered:
        yield [task for _, task in pairs]


def _kept(
    model_of: Callable[[str | None], Crowd], tasks: Sequence[FaceTask], output: RunOutput, marks: Marks
) -> dict[str, Callable[[str], MadeFace]]:
    """Begin a resumed run: what lies in OUT as it is asked for stays (name -> how to read it); so do faces that are not
    asked for (a count that is smaller now).
    """
    lying = {str(row.get("file")): row for row in output.earlier()}
    asked = {}
    for task in tasks:
        row = marked_row(task.row(model_of(task.look)), marks)
        asked[row["file"]] = row
    same = {name for name, row in asked.items() if name in lying and _face(lying[name]) == _face(row)}
    if lying and not same:
        first = next(iter(lying.values()))
        raise RequestError(
            f"--resume: {output.out} holds faces of another request (seed {first.get('seed')}); "
            "the same request, another directory or --force is wanted"
        )
    stay = [asked[name] if name in same else row for name, row in lying.items() if name in same or name not in asked]
    output.begin(stay)

    def read(name: str) -> MadeFace:
        from mien.core.photos import read_photo
        from mien.core.records import Labels, MadeFace

        row = asked[name]
        labels = Labels(row["sex"], row["age"])
        image = read_photo(output.out / name)
        return MadeFace(image, labels, row["seed"], row["index"], row["model"], row["model_version"])

    return dict.fromkeys(same, read)


def _face(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ABOUT_A_CAST}


def _write_sheet(faces: Sequence[MadeFace], output: RunOutput, marks: Marks, about: str) -> None:
    from mien.pipelines.sheets import labelled_sheet

    first, text = faces[0], {"Comment": f"AI-generated by mien; {about}"}
    page = labelled_sheet(faces, SHEET_COLUMNS)
    versions = {"model": first.model, "model_version": first.model_version}
    output.add("sheet.png", marks.png(page, text, title="sheet.png", **versions))
