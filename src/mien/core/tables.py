"""Tables of others: CSV as spreadsheets and pandas write it.

Two readers: ``csv_rows`` for label files, which may be huge and of which a spoilt line spoils nothing else; and
``read_table`` for what people type, of which every fault is told. Rows are counted as a spreadsheet shows them.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mien.core.errors import RequestError

MOST_BYTES = 32 * 2**20  # of a table that people type
DELIMITERS = (",", ";", "\t", "|")
# What tools write into a cell of which nothing is known (pandas reads the same as empty).
EMPTY = frozenset({"#N/A", "#NA", "-NaN", "-nan", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"})
BLANKS = frozenset({"", "-", "\u2013", "\u2014"})  # what people type for nothing
MOST_CELL_LINES = 20  # that a cell of a label file may have
# Where a quote opens a cell that goes on in the next line; where one closes a cell that began in a line before.
_OPENED = re.compile(r'(?:^|[,;\t|])\s*"(?:[^"]|"")*\Z')
_CLOSED = re.compile(r'(?:[^"]|"")*"\s*(?:[,;\t|]|\Z)')
NAMELESS = re.compile(r"|Unnamed: \d+", re.I)  # the header of an index that was written along


def text_of(data: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 by its byte order mark or its zeros; line ends are ``\\n``.

    What has no sound UTF-8 beyond ASCII is of Excel on Windows (cp1252). Other bytes that are no text become U+FFFD.
    """
    encoding = _encoding(data)
    text = data.decode(encoding, errors="replace")
    if (
        encoding == "utf-8-sig"
        and data[:3] != b"\xef\xbb\xbf"
        and "\ufffd" in text
        and text.replace("\ufffd", "").isascii()
    ):
        text = data.decode("cp1252", errors="replace")
    return _with_plain_ends(text)


def what_no_table_is(data: bytes) -> str:
    """What a file is that is called a table and is none; empty where nothing speaks against it."""
    for begin, what in _WORKBOOKS:
        if data.startswith(begin):
            return f"{what}; save it as CSV (UTF-8) and give that"
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "in UTF-32; save it as CSV (UTF-8)"
    return ""


def _with_plain_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _encoding(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if data[1:2] == b"\0":
        return "utf-16-le"
    return "utf-16-be" if data[:1] == b"\0" else "utf-8-sig"


def csv_rows(lines: Iterable[str], delimiter: str | None = ",") -> Iterator[list[str]]:
    """The cells of a table, stripped; blank lines are passed over.

    Line by line: a quote that nobody closed spoils its own line and not the rest of the file. ``delimiter`` None: the
    one of ``DELIMITERS`` that stands most often in the first line, or that Excel's line ``sep=;`` names. A cell in
    quotes may go on over ``MOST_CELL_LINES`` lines.
    """
    for line in _records(lines):
        if not line.strip(" \t,;|"):
            continue
        if delimiter is None:
            named = re.fullmatch(r"\"?sep=(.)\"?", line.strip(" "), re.I)
            delimiter = named[1] if named else max(DELIMITERS, key=lambda one: len(csv_cells(line, one)))
            if named:
                continue
        yield csv_cells(line, delimiter)


def _records(lines: Iterable[str]) -> Iterator[str]:
    """Lines, those of a cell with line breaks joined; where its quote is not closed soon, each line by itself."""
    left = iter(lines)
    waiting: deque[str] = deque()
    while waiting or (line := next(left, None)) is not None:
        record = waiting.popleft() if waiting else line
        assert record is not None
        if record.count('"') % 2 == 0:
            yield record
            continue
        while len(waiting) < MOST_CELL_LINES and (more := next(left, None)) is not None:
            waiting.append(more)
        closed = next((n for n, more in enumerate(waiting, 1) if more.count('"') % 2), 0)
        rest = waiting[closed - 1] if closed else ""
        if closed and _OPENED.search(record) and _CLOSED.match(rest):
            record = "\n".join([record, *(waiting.popleft() for _ in range(closed))])
        yield record


def csv_cells(line: str, delimiter: str = ",") -> list[str]:
    """The cells of one line, stripped; a line that no CSV reader takes is one cell."""
    try:
        cells = next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        cells = [line]
    return [cell.strip() for cell in cells] or [""]


def fitted(cells: list[str], width: int) -> list[str]:
    """A row without the empty cells that a trailing delimiter makes beyond ``width``."""
    return cells[:width] if not any(cells[width:]) else cells


_SEP = re.compile(r"\"?sep=([^\w\s\"]|\t)\"?(?:\n|$)", re.IGNORECASE)
_WORKBOOKS = (
    (b"PK\x03\x04", "a workbook (Excel, LibreOffice or Numbers)"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
)


@dataclass(frozen=True, slots=True)
class Table:
    """A header and the rows below it, as text; (number of the row, its cells), no row being empty.

    A row has as many cells as it has in the file: fewer than the header, or more.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def read_table(data: bytes, name: str) -> Table:
    """The table of a file; ``name`` is what errors call it. ``RequestError`` for what is no table."""
    if len(data) > MOST_BYTES:
        raise RequestError(f"{name}: {len(data)} bytes; allowed are {MOST_BYTES}")
    if what := what_no_table_is(data):
        raise RequestError(f"{name}: {what}")
    text = _strict_text(data, name)
    delimiter = None
    if declared := _SEP.match(text):
        delimiter, text = declared[1], text[declared.end() :]
    rows = [(number, cells) for number, cells in enumerate(_rows(text, delimiter, name), 1) if any(cells)]
    if not rows:
        raise RequestError(f"{name}: empty; a row of column names and rows below it are wanted")
    (_, columns), *below = rows
    return Table(columns, tuple(below))


def column_letters(place: int) -> str:
    """What a spreadsheet calls column ``place`` (0, 1, ...): A, B, ..., Z, AA."""
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def is_empty(cell: str) -> bool:
    """Whether a cell says nothing: blank, a dash, or what programs write for that, whatever its capitals."""
    plain = cell.strip()
    return plain in BLANKS or plain.casefold() in {one.casefold() for one in EMPTY}


def _strict_text(data: bytes, name: str) -> str:
    encoding = _encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        if encoding != "utf-8-sig":
            raise RequestError(f"{name}: neither UTF-8 nor UTF-16; save it as CSV (UTF-8)") from None
        try:
            text = data.decode("cp1252")  # what Excel on Windows calls CSV
        except UnicodeDecodeError:
            raise RequestError(f"{name}: in an encoding that is not known; save it as CSV (UTF-8)") from None
    if "\0" in text:
        raise RequestError(f"{name}: not text; CSV is wanted")
    return _with_plain_ends(text)


def _rows(text: str, delimiter: str | None, name: str) -> list[tuple[str, ...]]:
    delimiter = delimiter or _delimiter(text)
    limit = csv.field_size_limit()
    try:
        csv.field_size_limit(MOST_BYTES)
        found = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
        return [tuple(cell.strip().strip("\ufeff") for cell in cells) for cells in found]
    except csv.Error as error:
        raise RequestError(f"{name}: not CSV ({error}); a quote that nobody closed?") from None
    finally:
        csv.field_size_limit(limit)


def _delimiter(text: str) -> str:
    """The sign between cells: the one that the header has most of, outside quotes."""
    header = re.sub(r'"[^"]*"', "", text.lstrip("\n").partition("\n")[0])
    return max(DELIMITERS, key=header.count)
