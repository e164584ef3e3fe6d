"""Cast lists: people in a spreadsheet, a face or several for each row. What is here reads them and says what is wrong.

Cells of words go through the reader of sentences; whatever cannot be read is told by row and column, all of it at once
and before any face is made.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mien.core.errors import CellProblem, CellsError, RequestError
from mien.core.limits import check_seed
from mien.core.records import Sex
from mien.core.tables import Table, column_letters, is_empty, read_table
from mien.generators.conditions import RACES
from mien.pipelines.crowd import check_preset
from mien.pipelines.pictures import safe_stem
from mien.pipelines.request import SEX, FacesRequest, check_count, check_race, crowd_request, parse_ages

if TYPE_CHECKING:
    from mien.pipelines.crowd_out import FaceTask

COLUMNS = ("name", "sex", "age", "words", "race", "look", "seed", "count")
MOST_ROWS = 100_000
LONGEST_CELL = 2000  # characters
LIKE_A_COLUMN = 0.85  # a header that is so near to a column, or has its very letters, is a slip of the pen
SEXES: Mapping[str, Sex] = {
    "female": "female", "f": "female", "w": "female", "woman": "female", "girl": "female", "lady": "female",
    "male": "male", "m": "male", "man": "male", "boy": "male", "gentleman": "male",
}  # fmt: skip
INDEXES = 2**31  # faces of a seed that people without a seed of their own are drawn from
DATE = re.compile(  # as spreadsheets of several languages show it
    r"\d{1,2}[-./ ]{0,2}(?:jan|feb|f\u00e9v|m[aer\u00e4]|apr|avr|abr|juin|ju[nl]|juil|aug|ao|sep|o[ck]t|ott|nov|"
    r"de|d\u00e9)|"
    r"[a-z]{3}[-./ ]\d\d\b|\d{1,2}[-./]\d{1,2}[-./]\d{2,4}|\d{4}-\d\d-\d\d",
    re.IGNORECASE,
)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class CastRow:
    """One row: who is asked for, and how the pictures are called."""

    number: int  # as the spreadsheet shows it: the header is row 1
    name: str
    stem: str  # the name as a file's, once on the list
    request: FacesRequest  # its count and, where the row has one, its seed
    look: str | None
    cells: Mapping[str, str]  # as they were given, empty ones left out

    def seeded(self, seed: int) -> FacesRequest:
        """The request with its seed; without one of its own it is ``seed``, and the person follows from the name."""
        if self.request.seed is not None:
            return self.request
        return replace(self.request, seed=seed, first=index_of(self.stem))

    @property
    def manifest(self) -> list[dict[str, Any]]:
        """What the manifest says of each face of the row beside what it says of any."""
        look = {} if self.look is None else {"look": self.look}
        about = {**look, "row": self.number, "cells": dict(self.cells)}
        return [{**about, "file": name} for name in files_of(self.stem, self.request.count)]


@dataclass(frozen=True, slots=True)
class Cast:
    """A list that can be made."""

    rows: tuple[CastRow, ...]
    not_read: tuple[str, ...] = ()  # columns that mien knows nothing of
    remarks: tuple[CellProblem, ...] = field(default=())  # words that were left out

    @property
    def count(self) -> int:
        """How many faces."""
        return sum(row.request.count for row in self.rows)


def read_cast_file(path: Path, preset: str = "mien") -> Cast:
    """The cast of a CSV file. ``RequestError`` for a file that is no table, ``CellsError`` as ``read_cast``."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RequestError(f"--cast: {path} cannot be read ({error.strerror}); a CSV file is wanted") from error
    return cast_of_table(read_table(data, str(path)), str(path), preset)


def cast_of_table(table: Table, where: str, preset: str = "mien") -> Cast:
    """The cast of a table; ``where`` is what errors call it."""
    names, not_read = _columns(table.columns, where)
    rows: list[tuple[int, dict[str, str]]] = []
    problems = []
    for number, cells in table.rows:
        beyond = [place for place in range(len(names), len(cells)) if cells[place]]
        if beyond:
            place = beyond[0]
            said = f"'{cells[place]}' given right of the last column; words with a comma want quotes"
            problems.append(CellProblem(number, f"column {column_letters(place)}", said))
        rows.append((number, {name: cell for name, cell in zip(names, cells, strict=False) if name is not None}))
    return replace(read_cast(rows, where, preset, problems), not_read=not_read)


def read_cast(
    rows: Sequence[tuple[int, Mapping[str, str]]],
    where: str,
    preset: str = "mien",
    problems: Sequence[CellProblem] = (),
) -> Cast:
    """The cast of rows (number, column of ``COLUMNS`` -> cell).

    ``CellsError`` with every cell that cannot be read, ``problems`` included; ``RequestError`` for too few or too many.
    """
    if len(rows) > MOST_ROWS:
        raise RequestError(f"{where}: {len(rows)} rows; allowed are {MOST_ROWS}")
    stems = _Stems()
    found: list[CastRow] = []
    wrong, remarks = list(problems), []
    for number, given in rows:
        cells = {name: cell for name in COLUMNS if (cell := given.get(name, "").strip()) and _says(name, cell)}
        if not cells:
            continue
        reader = _RowReader(number, cells, preset)
        read = reader.read()
        wrong += reader.problems
        remarks += reader.remarks
        if read is not None:
            name = cells.get("name", "")
            stem = stems.take(safe_stem(name) or f"row-{number}", read[0].count)
            found.append(CastRow(number, name, stem, read[0], read[1], cells))
    if wrong:
        raise CellsError(where, sorted(wrong, key=lambda one: one.row))
    if not found:
        raise RequestError(f"{where}: no row says anything; wanted are rows with {', '.join(COLUMNS)}")
    cast = Cast(tuple(found), (), tuple(remarks))
    check_count(cast.count)
    return cast


def cast_tasks(cast: Cast, seed: int) -> Iterator[FaceTask]:
    """The faces of a cast, row by row.

    A row with a seed gets faces 0, 1, ... of it, as a crowd does. Without one, its person follows from ``seed`` and its
    name: rows may be moved, added and removed, and nobody else changes.
    """
    from mien.pipelines.crowd_out import tasks_of

    for row in cast.rows:
        for task, more in zip(tasks_of(row.seeded(seed), seed, look=row.look), row.manifest, strict=True):
            yield replace(task, more=more)


def index_of(stem: str) -> int:
    """Which face of a seed somebody of that name is."""
    return int.from_bytes(hashlib.sha256(stem.encode()).digest()[:8], "little") % INDEXES


def files_of(stem: str, count: int) -> list[str]:
    """``anna.png``; of several ``anna-1.png``, ``anna-2.png``, with as many digits as the last one has."""
    if count == 1:
        return [f"{stem}.png"]
    return [f"{stem}-{number:0{len(str(count))}d}.png" for number in range(1, count + 1)]


class _Stems:
    """Names of files, each once, whatever its capitals: some file systems take those for one."""

    def __init__(self) -> None:
        self._taken = {"sheet.png", "curves.png", "stages.png"}

    def take(self, stem: str, count: int) -> str:
        wanted, number = stem, 2
        while not self._taken.isdisjoint(files := {name.casefold() for name in files_of(wanted, count)}):
            wanted, number = f"{stem}-{number}", number + 1
        self._taken |= files
        return wanted


class _RowReader:
    """Reads one row, cell by cell, so that each wrong one is told."""

    def __init__(self, number: int, cells: Mapping[str, str], preset: str) -> None:
        self.number, self.cells, self.preset = number, cells, preset
        self.problems: list[CellProblem] = []
        self.remarks: list[CellProblem] = []

    def read(self) -> tuple[FacesRequest, str | None] | None:
        """(What is asked for, the look); ``None`` where a cell cannot be read."""
        sex: Sex | None = self._cell("sex", _sex)
        ages = self._cell("age", _ages)
        race = self._cell("race", _race)
        look = self._cell("look", lambda cell: _look(cell, self.preset))
        seed = self._cell("seed", lambda cell: _whole(cell, "seed"))
        count = self._cell("count", lambda cell: _whole(cell, "count"))
        self._cell("words", lambda cell: crowd_request(cell, option="words"))
        if self.problems:
            return None
        try:
            read = crowd_request(
                self.cells.get("words", ""),
                sex=sex or "any",
                race=race,
                option="words",
                count=1 if count is None else count,
                seed=seed,
            )
            request = read.request
            if ages is not None:
                request = replace(request, description=replace(request.description, ages_years=ages))
            check_preset(self.preset, request)
        except RequestError as error:
            column, _, said = str(error).removeprefix("--").partition(": ")
            self._wrong("words" if column == "with" else column, said)
            return None
        if read.left_out:
            self.remarks.append(CellProblem(self.number, "words", read.left_out))
        return request, look

    def _cell(self, column: str, read: Callable[[str], Value | None]) -> Value | None:
        cell = self.cells.get(column)
        if cell is None:
            return None
        try:
            if len(cell) > LONGEST_CELL:
                raise RequestError(f"{column}: {len(cell)} characters given; at most {LONGEST_CELL} are read")
            return read(cell)
        except RequestError as error:
            self._wrong(column, str(error).partition(": ")[2])
            return None

    def _wrong(self, column: str, said: str) -> None:
        self.problems.append(CellProblem(self.number, column, said))


def _columns(header: Sequence[str], where: str) -> tuple[list[str | None], tuple[str, ...]]:
    """(The column of each place, ``None`` where mien knows none; how those are called)."""
    plain = [" ".join(name.casefold().split()) for name in header]
    known: list[str | None] = [name if name in COLUMNS else None for name in plain]
    if not any(known):
        raise RequestError(f"{where}: the first row names none of the columns {', '.join(COLUMNS)}")
    for name in COLUMNS:
        if plain.count(name) > 1:
            raise RequestError(f"{where}: the first row names the column '{name}' {plain.count(name)} times")
    for name in plain:
        near = [column for column in COLUMNS if sorted(column) == sorted(name)]
        near += difflib.get_close_matches(name, COLUMNS, 1, LIKE_A_COLUMN)
        if name not in COLUMNS and near:
            raise RequestError(f"{where}: first row, column '{name}': unknown; did you mean '{near[0]}'?")
    return known, tuple(given for given, name in zip(header, known, strict=True) if given and name is None)


def _says(column: str, cell: str) -> bool:
    return column == "name" or not is_empty(cell)  # somebody may be called Na


def _sex(cell: str) -> Sex | None:
    plain = cell.casefold().rstrip(".")
    if plain in ("any", "either", "x"):
        return None
    if plain not in SEXES:
        raise RequestError(f"sex: '{cell}' given; allowed: female, male, any (or f, m)")
    return SEXES[plain]


def _ages(cell: str) -> tuple[float, float]:
    try:
        return parse_ages(re.sub(r"(?<=\d),(?=\d\b)", ".", cell))
    except RequestError:
        pass
    try:
        read = crowd_request(cell, option="age")
        description = read.request.description
        if description.ages_years is not None and not read.left_out and set(description.attributes) <= {SEX}:
            return description.ages_years
    except RequestError:
        pass
    date = "; a date that the spreadsheet made of a range? Format the cells as text" if DATE.search(cell) else ""
    raise RequestError(
        f"age: '{cell}' given; allowed: one age (30), a range (20-35) or words (in her thirties), from 1 to 100{date}"
    )


def _race(cell: str) -> str:
    race = next((race for race in RACES if race.casefold() == cell.casefold()), cell)
    check_race(race)
    return race


def _look(cell: str, preset: str) -> str | None:
    check_preset(preset, FacesRequest(), look=cell.casefold())
    return cell.casefold()


def _whole(cell: str, column: str) -> int:
    """A whole number, as spreadsheets write it: '7', '7.0'."""
    plain = unicodedata.normalize("NFKC", cell).strip()
    if not re.fullmatch(r"-?\d{1,20}(?:[.,]0+)?", plain):
        rounded = re.fullmatch(r"-?\d+[.,]\d+e\+?\d+", plain, re.IGNORECASE)
        why = "; the spreadsheet has rounded it: format the cells as text" if rounded else ""
        raise RequestError(f"{column}: '{cell}' given; a whole number is wanted{why}")
    value = int(re.split("[.,]", plain)[0])
    if column == "seed":
        check_seed(value)
    else:
        check_count(value)
    return value
