"""The words and pages that participants see. What the page of consent says is stored is what ``AnswerStore`` stores."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files as resources
from typing import Any

from mien.core.errors import RequestError
from mien.pipelines.study import Design

SECONDS_A_TRIAL = 3.5

STORED = (
    "for every picture: your answer, how long it took, and how long the picture was on the screen",
    "whether you answered with a key, a finger or a mouse, how often a picture was put on the screen, and whether the "
    "page was out of sight meanwhile",
    "the hour of your last answer, to know whether you are still here",
    "a scrambled form of your code, by which your answers are found again",
)
NOT_STORED = (
    "No name, no address, no account, nothing about your device or browser. One cookie holds your code, so that you "
    "can close the page and go on later; there is no other, and nothing comes from or goes to other sites."
)


@lru_cache
def _environment() -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise RequestError("study: jinja2 is not installed; run: pip install 'mien[study]'") from error
    folder = resources("mien.apps.study").joinpath("assets")
    load = jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8"))
    return jinja2.Environment(loader=load, autoescape=True, trim_blocks=True, lstrip_blocks=True)


def page(name: str, design: Design, **values: Any) -> str:
    """The HTML of one page."""
    found: str = (
        _environment()
        .get_template(f"{name}.html.j2")
        .render(design=design, minutes=minutes(design), stored=STORED, not_stored=NOT_STORED, **values)
    )
    return found


def minutes(design: Design) -> int:
    """About how long a participant needs, in whole minutes."""
    trials = design.places + len(design.of("practice"))
    return max(1, round(trials * (SECONDS_A_TRIAL + (design.exposure_ms or 0) / 1000) / 60 + 0.5))


def paragraphs(text: str) -> list[str]:
    """Text apart by empty lines."""
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]
