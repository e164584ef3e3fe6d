"""The edits of one visit: what was done, in words, and a history that undoes and redoes them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mien.pipelines.edit_request import DEGREES, LONGEST, YEARS, EditRequest
from mien.pipelines.request import Description
from mien.pipelines.vocabulary import AGE


def title_of(request: EditRequest) -> str:
    """What was done, for a person."""
    if request.method == "near":
        return f"more like no. {request.pick + 1}"
    if request.method == "change":
        return f"{called(request.attribute)} of no. {request.pick + 1}"
    return request.description.words or "anybody"


def captions_of(request: EditRequest) -> tuple[str, ...]:
    """What stands under each face."""
    if request.method != "change":
        return tuple(f"no. {k + 1}" for k in range(request.count))
    if request.attribute == AGE:
        return tuple(f"{years:g} years" for years in YEARS)
    return tuple("none" if d == 0 else "full" if d == 1 else f"{d * 100:.0f} %" for d in DEGREES)


def called(attribute: str) -> str:
    """An attribute in words."""
    return "age" if attribute == AGE else Description({attribute: True}).words


@dataclass(frozen=True, slots=True)
class EditHistory:
    """The sheets of one visit; ``at`` is the one that is shown, -1 before any. What was undone stays to be redone."""

    edits: tuple[EditRequest, ...] = ()
    at: int = -1

    @property
    def now(self) -> EditRequest | None:
        """The sheet that is shown."""
        return self.edits[self.at] if self.at >= 0 else None

    @property
    def undoable(self) -> bool:
        """Whether there is something to undo."""
        return self.at > 0

    @property
    def redoable(self) -> bool:
        """Whether something was undone."""
        return self.at < len(self.edits) - 1

    def push(self, request: EditRequest) -> EditHistory:
        """With an edit more; what was undone is forgotten, and so are the oldest of more than ``LONGEST``."""
        edits = (*self.edits[: self.at + 1], request)[-LONGEST:]
        return EditHistory(edits, len(edits) - 1)

    @classmethod
    def ending_at(cls, request: EditRequest) -> EditHistory:
        """Everything that led to a sheet."""
        edits = [request]
        while edits[0].before is not None:
            edits.insert(0, edits[0].before)
        return cls(tuple(edits), len(edits) - 1)

    def undo(self) -> EditHistory:
        """An edit back, as long as there is one."""
        return replace(self, at=self.at - 1) if self.undoable else self

    def redo(self) -> EditHistory:
        """An edit forward, as long as there is one."""
        return replace(self, at=self.at + 1) if self.redoable else self

    def go_to(self, at: int) -> EditHistory:
        """At edit number ``at``, the nearest that there is."""
        return replace(self, at=min(max(at, 0), len(self.edits) - 1)) if self.edits else self
