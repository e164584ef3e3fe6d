"""What others wrote is data: one escaper of their text, one reader of their JSON.

A file name, a text chunk, a signer's name, a label: any of them may hold line breaks, escape codes of a terminal, marks
that turn the direction of text, or markup. Whatever of it is shown goes through ``escaped`` or ``in_html``.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from typing import Any, NoReturn

MOST_JSON_BYTES = 64 * 2**20
# Line breaks, control and direction marks, halves of pairs, places without a character. Blanks of all widths, and the
# joiners that Persian and emoji need, stay.
_SHOWN_CATEGORIES = ("Zs",)
_JOINERS = "\u200c\u200d"
_HALF_PAIR = re.compile(r"[\ud800-\udfff]")


def escaped(text: object) -> str:
    """Text as it may stand in one line of a terminal or a log: what is no letter, sign or blank becomes ``\\n``,
    ``\\x1b``, ``\\u202e``. Text without such is returned as it is.
    """
    said = str(text)
    if said.isprintable():
        return said
    return "".join(one if _is_shown(one) else one.encode("unicode_escape").decode() for one in said)


def in_html(text: object) -> str:
    """``escaped``, as it may stand in HTML, in an attribute too."""
    return html.escape(escaped(text))


def one_line(error: object) -> str:
    """What an error says as one line: its own line breaks become blanks, everything else as ``escaped``."""
    return escaped(" ".join(str(error).splitlines()))


def _is_shown(one: str) -> bool:
    return one.isprintable() or one in _JOINERS or unicodedata.category(one) in _SHOWN_CATEGORIES


def json_of(text: str | bytes, *, most_bytes: int = MOST_JSON_BYTES) -> Any:
    """A JSON document that others wrote.

    Raises ``ValueError``, one line, for what is no JSON: also for ``NaN`` and ``Infinity``, for lists nested too deep
    to be read, and for more than ``most_bytes``. Halves of pairs (``"\\ud800"``) become U+FFFD: nothing can write them.
    """
    if len(text) > most_bytes:
        raise ValueError(f"{len(text)} bytes of JSON; allowed are {most_bytes}")
    try:
        value = json.loads(text, parse_constant=_no_constant)
        return _without_halves(value)
    except RecursionError:
        raise ValueError("JSON that is nested too deep") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _without_halves(value: Any) -> Any:
    if isinstance(value, str):
        return _HALF_PAIR.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_halves(one) for one in value]
    if isinstance(value, dict):
        return {_without_halves(name): _without_halves(one) for name, one in value.items()}
    return value
