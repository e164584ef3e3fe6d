"""Typed configuration: validated once, printed, saved beside the run; an unknown key is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self

import pydantic

from mien.errors import RequestError
from mien.files import write_text


class Config(pydantic.BaseModel):
    """Base of every configuration: frozen, no unknown keys, JSON in and out."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def make(cls, values: dict[str, Any], *, where: str = "configuration") -> Self:
        """Validate ``values``; the first error becomes one ``RequestError`` line naming ``where`` and the key."""
        try:
            return cls.model_validate(values)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"]) or "value"
            allowed = ", ".join(cls.model_fields) if first["type"] == "extra_forbidden" else ""
            tail = f"; allowed keys: {allowed}" if allowed else f", given {first.get('input')!r}"
            raise RequestError(f"{where}: {key}: {first['msg']}{tail}") from error

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read a JSON file that ``write`` wrote."""
        try:
            values = json.loads(Path(path).read_text())
        except (OSError, ValueError) as error:
            raise RequestError(f"{path}: not a readable JSON file") from error
        return cls.make(values, where=str(path))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Save as JSON, atomically."""
        write_text(path, self.model_dump_json(indent=2) + "\n")
