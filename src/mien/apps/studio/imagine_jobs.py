"""What the tab Imagine has made: sheets from words and edits, and the paper's mixture beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mien.apps.web.models import ModelSpec, load_imagine
from mien.core.errors import MienError
from mien.pipelines.edit import EditSampler, MixtureRequest
from mien.pipelines.edit_request import EditRequest

MODEL = "imagined"


def load() -> EditSampler:
    """The model of the service behind it."""
    return EditSampler(load_imagine())


def make(sampler: EditSampler, jobs: Sequence[EditRequest | MixtureRequest]) -> list[Any]:
    """An answer to each job: pictures, or what is wrong with it."""
    answers: list[Any] = []
    for job in jobs:
        try:
            answers.append(sampler.sheet(job) if isinstance(job, EditRequest) else sampler.mixture(job))
        except MienError as error:
            answers.append(error)
    return answers


MODEL_SPECS = (ModelSpec(MODEL, "faces", "Faces from words, refined", load, make),)
