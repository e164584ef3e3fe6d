"""Requests for reports of ``experiment``: each checks itself before anything heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mien.attributes import understand_all
from mien.core.errors import RequestError
from mien.core.files import check_weights
from mien.evaluation import report
from mien.pipelines.evaluate_requests import PortraitEvaluation, ReportRequest, check_encoder
from mien.pipelines.train.settings import PortraitSettings
from mien.pretrained.taps import check_tap

# What the paper looks at (fc-7 on its maps, fc-6 for single activations), and what stands for it in each encoder.
MAPPED = {"facenet": "pool", "vgg-face": "fc7"}
VERIFIED = {"facenet": "embedding", "vgg-face": "fc7"}
ACTIVATED = {"facenet": ("block17", "pool", "embedding"), "vgg-face": ("fc6",)}
WORDS = "black, man, black hair"  # of the paper's figure 5
PAIRS = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderExperiment(ReportRequest):
    """What the experiments on a face encoder have in common; ``layers`` are taps of it, none: those of the paper."""

    encoder: str = "facenet"
    layers: tuple[str, ...] = ()
    seed: int = 0

    def check(self) -> None:
        """See ``ReportRequest``."""
        check_encoder(self.encoder)
        for layer in self.layers:
            check_tap(self.encoder, layer, "--layer")
        ReportRequest.check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TsneExperiment(EncoderExperiment):
    """A map of encoder features by attribute (figure 3; poster, figure 2)."""

    count: int = 4000  # faces at most, one of each person
    perplexity: float = 30
    neighbours: int = 10  # k of the purity


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationsExperiment(EncoderExperiment):
    """Tests of normality on every element of a layer, for the faces of an attribute (figure 6)."""

    attributes: tuple[str, ...] = ("Black", "Male")  # looked at closely
    count: int = 180  # faces of each attribute at most

    def check(self) -> None:
        """See ``ReportRequest``."""
        EncoderExperiment.check(self)
        self.named()

    def named(self) -> list[str]:
        """The attributes by their names in the vocabulary."""
        found: dict[str, None] = {}
        for word in self.attributes:
            meant = understand_all(word, option="--attribute", strengths=False).attributes
            if len(meant) != 1 or not all(meant.values()):
                raise RequestError(f"--attribute: '{word}' given; allowed is one attribute that is there, as in `Male`")
            found |= dict.fromkeys(meant)
        return list(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationExperiment(EncoderExperiment):
    """LFW's protocol: pairs of one person and of two, told apart at the best threshold of the other folds."""

    source: str = "lfw"
    folds: int = 10  # groups of people
    pairs: int = 300  # of one person, and of two, in each fold


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfreezingExperiment(EncoderExperiment):
    """Short runs of the attribute heads that differ in which layers of the encoder learn (figure 4, table 1)."""

    steps: int = 80
    batch: int = 24
    rate: float = 1e-3  # of the heads
    encoder_rate: float = 5e-5  # of the unfrozen layers
    decay: float = 0.8  # of the run whose rate falls with depth, a layer
    judged: int = 400  # faces asked in the end, of training people and of test people
    rates: tuple[float, ...] = ()  # of the heads: a sweep over these, rather than over layers

    def check(self) -> None:
        """See ``ReportRequest``."""
        if self.rate <= 0:
            raise RequestError(f"--lr: {self.rate:g} given; allowed are rates above 0")
        wrong = [rate for rate in self.rates if not 0 < rate < float("inf")]
        if wrong:
            raise RequestError(f"--rate: {wrong[0]:g} given; allowed are rates above 0")
        if self.rates and (len(set(self.rates)) < 2 or len(self.layers) > 1):
            given = f"{len(set(self.rates))} rates and {len(self.layers)} layers"
            raise RequestError(f"--rate: {given} given; a sweep wants two different rates or more, and one --layer")
        EncoderExperiment.check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class InversionExperiment:
    """A target, the inversion of its activations, and that of the mixture's, side by side (figure 5)."""

    out: Path
    mixture: Path | None = None  # weights of `mien train mixture --preset paper`; None: the packaged one
    words: str = WORDS
    photo: Path | None = None  # the target; None: a face that mien makes of ``words``
    settings: str = "paper"  # how pictures are optimised: mien or paper
    steps: int | None = None
    seed: int = 0
    force: bool = False

    def check(self) -> None:
        """``RequestError`` or ``WeightsError`` for what cannot be, before anything heavy is imported."""
        report.check_directory(self.out, force=self.force)
        understand_all(self.words)
        if self.mixture is not None:
            check_weights(self.mixture)
        if self.photo is not None and not self.photo.is_file():
            raise RequestError(f"--photo: {self.photo} given; there is no such file")


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationExperiment(ReportRequest):
    """The thesis's portraits without mask and adversarial loss, without adversarial loss, and in full (section 4.4)."""

    settings: PortraitSettings  # of the full run
    steps: int = 4_000  # of each run
    batch: int = 16
    count: int = 240  # held-out people who judge them, at most
    seed: int = 0  # of weights and order of all three runs, and of the people
    threads: int | None = None
    minutes: float | None = None  # each run stops with a checkpoint after so long

    @property
    def judged(self) -> PortraitEvaluation:
        """The request that judges the runs, once there are any."""
        return PortraitEvaluation(
            data=self.data, out=self.out / "report", force=self.force, count=self.count, seed=self.seed
        )

    def check(self) -> None:
        """See ``ReportRequest``."""
        self.judged.check()


@dataclass(frozen=True, slots=True, kw_only=True)
class LikenessExperiment(ReportRequest):
    """How alike a face is to the held-out person whose attributes made it, in per cent (figure 8, table 2)."""

    people: int = 24
    mixture: Path | None = None  # weights of the paper's mixture that is inverted; None: the packaged one
    pairs: int = PAIRS  # of one person, and of two, that calibrate
    settings: str = "paper"  # how pictures are optimised
    steps: int | None = None
    seed: int = 0

    def check(self) -> None:
        """See ``ReportRequest``."""
        if self.mixture is not None:
            check_weights(self.mixture)
        ReportRequest.check(self)
