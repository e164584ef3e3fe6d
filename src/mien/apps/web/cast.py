"""Cast lists over HTTP and in the studio: read into a ``Cast``, and made in pieces of several rows each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mien.core.errors import CellProblem, RequestError
from mien.pipelines.pictures import Picture
from mien.pipelines.request import FacesRequest

if TYPE_CHECKING:
    from mien.apps.web.forms import CastForm
    from mien.pipelines.cast import Cast

CAST = "cast"  # kind of a job
PRESET = "painter"


@dataclass(frozen=True, slots=True)
class CastPiece:
    """Faces of several rows that are made together; ``more`` has what the manifest says beside of each face."""

    requests: tuple[FacesRequest, ...]
    more: tuple[Mapping[str, Any], ...]

    @property
    def count(self) -> int:
        """How many faces."""
        return len(self.more)

    def told(self, pages: Sequence[Sequence[Picture]]) -> list[Picture]:
        """The pictures of all its requests, in order, with what the list says of each."""
        made = [picture for page in pages for picture in page]
        return [
            replace(picture, row={**picture.row, **more}) for picture, more in zip(made, self.more, strict=True)
        ]  # fmt: skip


def read_cast_form(form: CastForm, most_faces: int) -> Cast:
    """The cast of a form; rows are counted from 1. ``CellsError`` with every cell that is wrong."""
    from mien.pipelines.cast import COLUMNS, read_cast

    rows, wrong = [], []
    for number, row in enumerate(form.rows, 1):
        rows.append((number, {name: "" if cell is None else str(cell) for name, cell in row.items()}))
        unknown = [name for name in row if name not in COLUMNS]
        wrong += [CellProblem(number, name[:40], f"no such column; allowed: {', '.join(COLUMNS)}") for name in unknown]
    return _few_enough(read_cast(rows, "rows", PRESET, wrong), "rows", most_faces)


def read_cast_file(data: bytes, name: str, most_faces: int) -> Cast:
    """The cast of a file that was dropped. ``RequestError`` for no table, ``CellsError`` with every wrong cell."""
    from mien.core.tables import read_table
    from mien.pipelines.cast import cast_of_table

    return _few_enough(cast_of_table(read_table(data, name), name, PRESET), name, most_faces)


def _few_enough(cast: Cast, where: str, most_faces: int) -> Cast:
    if cast.count > most_faces:
        raise RequestError(f"{where}: {cast.count} faces given; allowed at once are {most_faces}")
    return cast


def pieces_of(cast: Cast, seed: int, size_px: int | None, most: int) -> Iterator[CastPiece]:
    """All faces of a cast, in order, in pieces of at most ``most``; ``seed`` is that of rows without one."""
    requests: list[FacesRequest] = []
    more: list[Mapping[str, Any]] = []
    for row in cast.rows:
        asked, about = replace(row.seeded(seed), size_px=size_px, look=row.look), row.manifest
        done = 0
        while done < asked.count:
            taken = min(asked.count - done, most - len(more))
            requests.append(asked.part(done, taken))
            more += about[done : done + taken]
            done += taken
            if len(more) == most:
                yield CastPiece(tuple(requests), tuple(more))
                requests, more = [], []
    if more:
        yield CastPiece(tuple(requests), tuple(more))
