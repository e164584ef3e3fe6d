"""One tree of errors. Every message is one line: what was given, what is allowed, what to do next. What was given may
be anything: whatever would break the line, or act on a terminal, is shown escaped (``foreign.one_line``).

The command line turns a ``MienError`` into that line on stderr and ``exit_status`` of the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mien.core.foreign import one_line


class MienError(Exception):
    """Root of everything that mien raises on purpose."""

    exit_status: int = 1

    def __str__(self) -> str:
        return one_line(super().__str__())


class RequestError(MienError, ValueError):
    """The user asked for something that does not exist or is out of range (exit status 2)."""

    exit_status = 2


@dataclass(frozen=True, slots=True)
class CellProblem:
    """What is wrong with one cell of a table; the header is row 1."""

    row: int
    column: str
    message: str

    def __str__(self) -> str:
        return f"row {self.row}, {self.column}: {self.message}"


class CellsError(RequestError):
    """Cells of a table cannot be read; ``cells`` has every one. The message says how many, and the first."""

    def __init__(self, where: str, cells: Sequence[CellProblem]) -> None:
        number = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
        super().__init__(f"{where}: {number} cannot be read: {cells[0]}")
        self.where, self.cells = where, tuple(cells)


class PhotoError(MienError, ValueError):
    """One photograph cannot be used. ``reason`` is a short machine-readable word for catalogues."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[PhotoError], tuple[str, str]]:
        return type(self), (self.reason, str(self))  # an error of a worker process is told in this one


class SourceError(RequestError):
    """A SOURCE_DIR is not of the format that was named, or one of its label files is unreadable."""


class DatasetError(RequestError):
    """A prepared dataset (DEST) is missing, incomplete or too small for what was asked."""


class WeightsError(MienError):
    """A weights file is missing, of another model, or damaged."""


class FetchError(WeightsError):
    """A model of others could not be brought or did not match its pinned SHA-256."""


class StoreError(MienError):
    """A store of rows (reviews, answers) does not answer, is of another version, or refused what was written."""


class TrainingError(MienError):
    """A training run stopped: NaN, a run directory of another configuration, a full disk."""


class TooFewError(MienError, ValueError):
    """A statistic was asked for with fewer samples than it needs to mean anything."""

    exit_status = 2
