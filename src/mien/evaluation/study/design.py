"""The design of a study: frozen pictures and everything that is decided before the first answer, in one JSON file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from mien.core.config import Config
from mien.core.errors import RequestError
from mien.core.records import Sex

FORMAT_VERSION = 1
DESIGN_FILE, PICTURES, ANSWERS_FILE = "study.json", "pictures", "answers.sqlite"
REAL = "real"

Role = Literal["trial", "practice", "catch", "mask"]
Background = Literal["whole", "oval"]
Matched = Literal["", "sex", "sex and age"]


class StudyPicture(Config):
    """One frozen picture. Its id says nothing of where it comes from: participants see it in addresses."""

    id: str = Field(pattern="^[0-9a-f]{16}$")
    sha256: str  # of the file ``pictures/<id>.png``
    role: Role
    source: str  # REAL or the name of a model
    origin: str = ""  # file name or catalogue id that it was made from
    origin_sha256: str = ""  # of the pixels that it was made from
    sex: Sex | None = None
    age_years: float | None = None

    @property
    def real(self) -> bool:
        """Whether it is a photograph of a person."""
        return self.source == REAL and self.role != "catch"


class Rule(Config):
    """Whose answers count, fixed before there are any."""

    catch_misses: int = Field(default=1, ge=0)  # a participant with more wrong catch trials is set aside
    fastest_ms: int = Field(default=200, ge=0)  # a quicker answer is no answer to the picture, and is left out


class Design(Config):
    """What ``mien study make`` wrote. ``fingerprint`` changes with any of it; answers belong to one fingerprint."""

    format: int = FORMAT_VERSION
    mien: str  # version that froze the pictures
    title: str
    seed: int
    size_px: int = Field(ge=16, le=1024)
    background: Background
    matched: Matched  # in what every source has the same shares
    models: tuple[str, ...] = Field(min_length=1)
    trials_a_model: int = Field(ge=1)  # that a participant sees of each model; as many real ones as of all models
    scrambled: int = Field(ge=0)  # catch trials: faces cut to pieces; the right answer is "generated"
    cards: int = Field(ge=0)  # catch trials: a card that asks for the answer "real"
    exposure_ms: int | None = Field(default=None, ge=10, le=60_000)  # then masked; None: shown until answered
    rule: Rule = Rule()
    contact: str = ""  # whom participants may ask
    consent: str = ""  # what the researcher adds to the page of consent: paragraphs apart by an empty line
    left_out: dict[str, dict[str, int]] = Field(default_factory=dict)  # source -> why -> how many pictures
    given: dict[str, str] = Field(default_factory=dict)  # source -> directory or dataset as it was named
    pictures: tuple[StudyPicture, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """``real`` and then the models."""
        return (REAL, *self.models)

    @property
    def trials(self) -> int:
        """How many faces a participant judges, catch trials not counted."""
        return 2 * self.trials_a_model * len(self.models)

    @property
    def catches(self) -> int:
        """How many catch trials a participant meets."""
        return self.scrambled + self.cards

    @property
    def places(self) -> int:
        """How many answers a participant gives."""
        return self.trials + self.catches

    def seen_of(self, source: str) -> int:
        """How many faces of ``source`` a participant judges."""
        return self.trials_a_model * (len(self.models) if source == REAL else 1)

    def of(self, role: Role, source: str | None = None) -> list[StudyPicture]:
        """The pictures of a role (and source), in the order of the file."""
        return [one for one in self.pictures if one.role == role and source in (None, one.source)]

    def fingerprint(self) -> str:
        """32 hexadecimal digits of everything above."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:32]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The study in a directory, with every picture checked against its hash. ``RequestError`` where one differs."""
        if not (folder / DESIGN_FILE).is_file():
            raise RequestError(f"{folder}: no study ({DESIGN_FILE} is not there); make one with `mien study make`")
        design = cls.read(folder / DESIGN_FILE)
        if design.format != FORMAT_VERSION:
            raise RequestError(f"{folder}: a study of format {design.format}; this mien reads {FORMAT_VERSION}")
        for one in design.pictures:
            path = picture_path(folder, one.id)
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != one.sha256:
                raise RequestError(
                    f"{path}: not the picture that was frozen; make the study anew, in another directory"
                )
        return design


@dataclass(frozen=True, slots=True)
class StudyRequest:
    """What a study shall be. ``pictures`` is the pool of each model; the real pool is as large as all of them."""

    title: str
    seed: int
    pictures: int
    trials: int
    practice: int
    catch: int
    rule: Rule
    background: Background
    size_px: int | None = None
    exposure_ms: int | None = None
    match: bool = True
    contact: str = ""
    consent: str = ""
    given: Mapping[str, str] = field(default_factory=dict)


def picture_path(folder: Path, name: str) -> Path:
    """Where the picture of that id lies."""
    return folder / PICTURES / f"{name}.png"


def check_names(names: Sequence[str]) -> None:
    """``RequestError`` unless each is a name that a column of a report can have, given once."""
    for name in names:
        if not name or len(name) > 40 or name == REAL or names.count(name) > 1 or not name.isprintable():
            raise RequestError(f"--model: name {name!r} given; allowed: 1 to 40 characters, each name once, not 'real'")
