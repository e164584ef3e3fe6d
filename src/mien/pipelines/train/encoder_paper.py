"""The encoder of Sanche's section 7: photos -> the noise of the conditional GAN's generator, preset paper."""

from __future__ import annotations

from mien.core.errors import RequestError
from mien.pipelines.train.request import Trained, TrainRequest, finished, loop_settings, settings_of, use_threads
from mien.pipelines.train.settings import EncoderSettings

SHOWN_FROM = 1_000_000_000  # the number of a batch that no run gets to


def train_encoder_preset(request: TrainRequest) -> Trained:
    """Train the encoder in RUN against a finished generator; weights with both are written there."""
    from mien.papers.cgan_sanche.encoder import packaged_generator
    from mien.pipelines.train.crowd_paper import paper_batches
    from mien.training.encoder_paper import EncoderPaperConfig, train_encoder, with_mirrored

    settings = loop_settings(request, steps=20_000, batch_size=64, precision="auto")
    if settings.batch_size % 16:
        raise RequestError(f"--batch: {settings.batch_size} given; the paper preset wants a multiple of 16 (its bins)")
    use_threads(request)
    generator, version = packaged_generator(settings_of(request, EncoderSettings).generator)
    told = generator.config.ages
    batch_at, data = paper_batches(request.data, settings.batch_size, settings.seed, told)
    held_out, _ = paper_batches(request.data, 16, settings.seed, told, split="test")
    outcome = train_encoder(
        with_mirrored(batch_at, settings.seed), held_out(SHOWN_FROM), request.out, generator,
        EncoderPaperConfig(generator=version), settings, data=data, resume=bool(request.resume),
    )  # fmt: skip
    return finished(outcome, request.out)
