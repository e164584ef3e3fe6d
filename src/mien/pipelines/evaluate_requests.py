"""Requests for reports of ``evaluate``: each checks itself before anything heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mien.core.errors import RequestError
from mien.datasets.layout import require_dataset
from mien.evaluation import report

PRESETS = ("painter", "mien", "paper")
JUDGES = ("mien", "attributes")
ENCODERS = ("facenet", "vgg-face")
SPLITS = ("train", "validation", "test")
AGES, ATTRIBUTES = (20.0, 40.0, 60.0, 75.0), ("Smiling", "Eyeglasses")  # of edits
SLOW_METHODS = ("mixture", "invert", "visualise")  # that optimise pictures
SLOW_STEPS = 60  # of 150 of our settings: the activations are nearly as near, in two fifths of the time
QUICK = {True: "yes: too few faces to quote", False: "no"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """What every report is asked with: a prepared dataset, and the directory that the report goes to."""

    data: Path
    out: Path
    force: bool = False  # replace a report that is there

    def check(self) -> None:
        """``RequestError`` for what cannot be, before anything heavy is imported."""
        report.check_directory(self.out, force=self.force)
        require_dataset(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdEvaluation(ReportRequest):
    """Which crowd generators to judge, and by how many faces."""

    preset: str | None = None  # None: painter, or what ``weights`` are of
    weights: Path | None = None
    count: int = 10_000
    peers: tuple[str, ...] = ()  # presets or weights files
    sources: tuple[str, ...] = ()  # of real faces; none: all
    words: int = 200  # faces for each word of `--with`
    seed: int = 0
    quick: bool = False

    def check(self) -> None:
        """See ``ReportRequest``."""
        if self.preset is not None and self.weights is not None:
            raise RequestError(f"--preset: {self.preset} given with --weights, which say themselves what they are of")
        ReportRequest.check(self)
        for name in self.subjects:
            if name not in PRESETS and not Path(name).is_file():
                raise RequestError(f"{name}: neither a preset ({', '.join(PRESETS)}) nor a weights file")

    @property
    def subjects(self) -> tuple[str, ...]:
        """The preset or weights file of each generator, the one that is judged first."""
        return (str(self.weights) if self.weights else self.preset or "painter", *self.peers)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeEvaluation(ReportRequest):
    """A judge that is examined itself, that of sex and age or that of attributes and race."""

    preset: str = "mien"
    weights: Path | None = None
    split: str = "test"

    def check(self) -> None:
        """See ``ReportRequest``."""
        if self.preset not in JUDGES:
            raise RequestError(f"--preset: no judge '{self.preset}'; allowed: {', '.join(JUDGES)}")
        check_split(self.split)
        ReportRequest.check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributesEvaluation(ReportRequest):
    """Attribute heads on people that they never saw."""

    weights: Path | None = None
    encoder: str = "facenet"
    split: str = "test"
    threads: int | None = None

    def check(self) -> None:
        """See ``ReportRequest``."""
        check_split(self.split)
        check_encoder(self.encoder)
        ReportRequest.check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortraitEvaluation(ReportRequest):
    """Portraits of held-out people."""

    preset: str = "mien"
    weights: Path | None = None
    peers: tuple[Path, ...] = ()  # weights of the same preset
    count: int = 240  # people, at most
    seed: int = 0
    ages: int = 40  # further faces of each span of ages, at most; 0: none

    def check(self) -> None:
        """See ``ReportRequest``."""
        from mien.pipelines.portrait import check_preset

        check_preset(self.preset, self.weights)
        ReportRequest.check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EditEvaluation(ReportRequest):
    """Edits of photos of held-out people."""

    count: int = 40  # people, at most
    ages: tuple[float, ...] = AGES  # years, an edit each
    attributes: tuple[str, ...] = ATTRIBUTES  # an edit each
    sex: bool = True  # and one to the other sex
    like: bool = True  # beside what `imagine --like` makes
    seed: int = 0

    def check(self) -> None:
        """See ``ReportRequest``."""
        from mien.attributes.vocabulary import NAMES
        from mien.core.limits import ages_allowed

        for age in self.ages:
            if not ages_allowed(age, age):
                raise RequestError(f"--age: {age:g} given; allowed are 1 to 100")
        for name in self.attributes:
            if name not in NAMES:
                raise RequestError(f"--attribute: '{name}' given; `mien attributes` lists what is allowed")
        if not (self.ages or self.attributes or self.sex):
            raise RequestError("--no-sex: given without --age and --attribute; one edit or more is wanted")
        ReportRequest.check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagineEvaluation(ReportRequest):
    """Faces from the descriptions of held-out people, by every method."""

    sets: int = 300  # descriptions
    samples: int = 4  # faces for each
    slow: int = 0  # descriptions of which the methods that optimise pictures are judged
    slow_methods: tuple[str, ...] = SLOW_METHODS
    slow_steps: int | None = None  # of those methods
    weights: Path | None = None  # of `mien train mixture`
    decoder: Path | None = None  # of `mien train crowd`
    mixture: Path | None = None  # of `mien train mixture --preset paper`, to be inverted; None: the packaged one
    draw: Path | None = None  # of `mien train mixture --preset draw`
    seed: int = 0
    quick: bool = False

    def check(self) -> None:
        """See ``ReportRequest``."""
        for method in self.slow_methods:
            if method not in SLOW_METHODS:
                raise RequestError(f"--slow-method: '{method}' given; allowed: {', '.join(SLOW_METHODS)}")
        if not self.slow:
            some = " ".join(self.slow_methods) if self.slow_methods != SLOW_METHODS else None
            for option, value in (
                ("--slow-steps", self.slow_steps), ("--slow-method", some), ("--mixture", self.mixture),
            ):  # fmt: skip
                if value is not None:
                    raise RequestError(f"{option}: {value} given; only --slow uses it")
        ReportRequest.check(self)


def check_split(split: str) -> None:
    """``RequestError`` for another split than there are."""
    if split not in SPLITS:
        raise RequestError(f"--split: '{split}' given, allowed: {', '.join(SPLITS)}")


def check_encoder(name: str) -> None:
    """``RequestError`` for another face encoder than there are."""
    if name not in ENCODERS:
        raise RequestError(f"no face encoder is called '{name}'; allowed: {', '.join(ENCODERS)}")
