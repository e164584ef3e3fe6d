"""Typed configuration: validated once, printed, saved beside the run; an unknown key is refused."""

from __future__ import annotations

import os
import reprlib
import typing
from pathlib import Path
from typing import Any, Self

import pydantic

from mien.core.errors import RequestError
from mien.core.files import write_text
from mien.core.foreign import json_of


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
            if first["type"] == "extra_forbidden":
                tail = f"; allowed keys: {', '.join(_fields_at(cls, first['loc'][:-1]))}"
            else:
                tail = f", given {reprlib.repr(first.get('input'))}"
            raise RequestError(f"{where}: {key}: {first['msg'].removeprefix('Value error, ')}{tail}") from error

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read a JSON file that ``write`` wrote."""
        try:
            values = json_of(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RequestError(f"{path}: not a readable JSON file") from error
        return cls.make(values, where=str(path))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Save as JSON, atomically."""
        write_text(path, self.model_dump_json(indent=2) + "\n")


def _fields_at(model: type[pydantic.BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The keys allowed at ``place`` inside ``model``, which may lead into a nested configuration."""
    for part in place:
        field = model.model_fields.get(str(part))
        kinds = (field.annotation, *typing.get_args(field.annotation)) if field else ()
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)), model)
    return list(model.model_fields)
