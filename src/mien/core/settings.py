"""``--set name=value``: what only an experimenter turns, read by the typed configuration of the preset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args, get_origin

from mien.core.config import Config
from mien.core.errors import RequestError
from mien.core.foreign import json_of


def settings_from(kind: type[Config], said: Iterable[str], whose: str) -> Config:
    """``name=value`` words as a checked configuration. ``RequestError`` lists what there is, with defaults."""
    values: dict[str, Any] = {}
    for word in said:
        name, equals, text = word.partition("=")
        if name not in kind.model_fields or not equals:
            raise RequestError(f"--set: '{word}' given; {described(kind, whose)}")
        values[name] = _value(kind.model_fields[name].annotation, text)
    return kind.make(values, where="--set")


def described(kind: type[Config], whose: str) -> str:
    """The settings of a preset in one line: name=default (what it is)."""
    if not kind.model_fields:
        return f"{whose} has no settings"
    known = (f"{name}={_shown(field.default)} ({field.description})" for name, field in kind.model_fields.items())
    return f"{whose} knows {', '.join(known)}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def _value(kind: Any, text: str) -> Any:
    """A word as pydantic takes it: lists by commas, yes and no, numbers."""
    if get_origin(kind) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind is bool:
        return {"yes": True, "no": False}.get(text.lower(), text)
    if type(None) in get_args(kind) and text == "":
        return None
    try:
        return json_of(text)
    except ValueError:
        return text
