"""Tables of others: CSV as spreadsheets and pandas write it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator

DELIMITERS = (",", ";", "\t")
# What tools write into a cell of which nothing is known (pandas reads the same as empty).
EMPTY = frozenset({"#N/A", "#NA", "-NaN", "-nan", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"})
NAMELESS = re.compile(r"|Unnamed: \d+", re.I)  # the header of an index that was written along


def text_of(data: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 by its byte order mark or its zeros; line ends are ``\\n``.

    Bytes that are no such text become U+FFFD.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", errors="replace")
    elif data[1:2] == b"\0" or data[:1] == b"\0":
        text = data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be", errors="replace")
    else:
        text = data.decode("utf-8-sig", errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def csv_rows(lines: Iterable[str], delimiter: str | None = ",") -> Iterator[list[str]]:
    """The cells of a table, stripped; blank lines are passed over.

    Line by line: a quote that nobody closed spoils its own line and not the rest of the file. ``delimiter`` None: the
    one of ``,``, ``;`` and tab that stands most often in the first line, or that Excel's line ``sep=;`` names.
    """
    for line in lines:
        if not line.strip(" \t,;"):
            continue
        if delimiter is None:
            named = re.fullmatch(r"\"?sep=(.)\"?", line.strip(" "), re.I)
            delimiter = named[1] if named else max(DELIMITERS, key=lambda one: len(csv_cells(line, one)))
            if named:
                continue
        yield csv_cells(line, delimiter)


def csv_cells(line: str, delimiter: str = ",") -> list[str]:
    """The cells of one line, stripped; a line that no CSV reader takes is one cell."""
    try:
        cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        cells = [line]
    return [cell.strip() for cell in cells] or [""]


def fitted(cells: list[str], width: int) -> list[str]:
    """A row without the empty cells that a trailing delimiter makes beyond ``width``."""
    return cells[:width] if not any(cells[width:]) else cells
