"""What a person decided of one face's labels, and where the decisions on a dataset are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from mien.core.errors import RequestError
from mien.core.limits import OLDEST_YEARS

SQLITE = "review.sqlite"

Verdict = Literal["accepted", "corrected", "rejected"]
Value = str | float | bool | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What stands of one face. ``changes``: label -> its right value, ``None`` for "cannot be known".

    Labels are ``sex`` (female, male), ``age`` (years) and the names of attributes (true: there, false: not there).
    """

    face: str  # CatalogRow.id
    sha256: str | None  # of the file that was looked at: a decision does not follow the name to another picture
    verdict: Verdict
    changes: Mapping[str, Value]

    def __post_init__(self) -> None:
        if self.verdict not in get_args(Verdict):
            raise RequestError(f"verdict: '{self.verdict}' given; allowed: {', '.join(get_args(Verdict))}")
        if bool(self.changes) != (self.verdict == "corrected"):
            raise RequestError(f"verdict: '{self.verdict}' with {len(self.changes)} changes; only 'corrected' has some")
        for label, value in self.changes.items():
            check(label, value)


@dataclass(frozen=True, slots=True)
class ReviewPlace:
    """Which dataset this is, and where what people say of it is kept."""

    dataset: str  # 32 hexadecimal digits
    store: str  # address without a password


def check(label: str, value: Value) -> None:
    """``RequestError`` where ``label`` cannot have ``value``."""
    if value is None:
        return
    if label == "sex":
        if value not in ("female", "male"):
            raise RequestError(f"sex: '{value}' given; allowed: female, male or unknown")
    elif label == "age":
        if isinstance(value, bool | str) or not 0 <= value <= OLDEST_YEARS:
            raise RequestError(f"age: '{value}' given; allowed: 0 to {OLDEST_YEARS} years or unknown")
    elif not isinstance(value, bool):
        raise RequestError(f"{label}: '{value}' given; allowed: there, not there or unknown")
