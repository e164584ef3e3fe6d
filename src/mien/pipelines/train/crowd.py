"""Crowds, preset mien: the decoder, then the density over its codes, then the weights of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mien.core.progress import progress_bars
from mien.pipelines.train.request import Trained, TrainRequest, finished, loop_settings, settings_of
from mien.pipelines.train.settings import CrowdSettings

if TYPE_CHECKING:
    from torch import Tensor

    from mien.datasets.views import Views
    from mien.training.loop import LoopSettings, Outcome

SIZE_PX = 128
PREVIEWED = 36
DENSITY_STEPS = 6000


def train_mien(options: TrainRequest) -> Trained:
    """The decoder in OUT/decoder, then the density in OUT/density, then OUT/weights.safetensors."""
    settings = loop_settings(options, steps=20_000, batch_size=16, precision="auto", preview_every=250)
    outcome, seen, held_out = _decoder(options, settings)
    if outcome.finished:
        outcome = fit_density(options, outcome, seen, held_out)
    return finished(outcome, options.out)


def _decoder(options: TrainRequest, settings: LoopSettings) -> tuple[Outcome, Views, Views]:
    from mien.datasets.batches import FaceDataset
    from mien.datasets.views import decoder_views, view_batches
    from mien.faces.encoder import load_encoder
    from mien.training.decoder import DecoderTrainingConfig, train_decoder

    data = FaceDataset.open(options.data)
    encoder = load_encoder("facenet")
    with progress_bars() as bar:
        seen = decoder_views(data, encoder, "train", SIZE_PX, on_stage=bar)
        held_out = decoder_views(data, encoder, "validation", SIZE_PX, loose=(), on_stage=bar)
    initial, before = _earlier(options, "decoder")
    rate = settings_of(options, CrowdSettings).rate
    config = DecoderTrainingConfig(data=data.fingerprint(), images_before=before)
    config = config if rate is None else config.model_copy(update={"learning_rate": rate})
    outcome = train_decoder(
        view_batches(seen, settings.batch_size, settings.seed),
        seen.features,
        encoder.network,
        options.out / "decoder",
        config,
        settings,
        preview=view_batches(held_out, PREVIEWED, 1)(0),
        initial=initial,
        resume=bool(options.resume),
    )
    return outcome, seen, held_out


def fit_density(options: TrainRequest, outcome: Outcome, seen: Views, held_out: Views) -> Outcome:
    """Fit the density to the codes of a trained decoder and write the weights of both."""
    from mien.training.codes import export, frame_of, labelled_codes, person_weights, soft_scores
    from mien.training.density import DensityTrainingConfig, code_batches, held_out_cost, train_density
    from mien.training.loop import LoopSettings

    earlier, codes_before = _earlier(options, "density")
    initial = earlier["density"] if earlier is not None else None
    config = DensityTrainingConfig(data=seen.data.fingerprint(), codes_before=codes_before)
    if initial is not None:
        frame = initial["axes"], initial["scale"]
    else:
        frame = frame_of(outcome.shown["decoder"], seen.features, config.density)
    scored = soft_scores(outcome.shown["decoder"], seen)
    with progress_bars() as bar:
        known = labelled_codes(outcome.shown, seen, frame, scored, bar("codes"))
        unseen = labelled_codes(outcome.shown, held_out, frame, scored, bar("held-out codes"))
    settings = LoopSettings.make(
        {
            "steps": settings_of(options, CrowdSettings).density_steps or DENSITY_STEPS,
            "batch_size": 512,
            "seed": options.seed or 0,
            "threads": options.threads,
        }
        | {"device": options.device or "auto", "precision": options.precision or "auto", "log_every": 100}
    )
    weights = person_weights([seen.face(place).person for place in range(len(seen))])
    fitted = train_density(
        code_batches(known.codes, known.spreads, known.conditions, settings.batch_size, settings.seed, weights),
        frame,
        options.out / "density",
        config,
        settings,
        hooks=(held_out_cost(unseen.codes, unseen.conditions, config, 500),),
        initial=initial,
        resume=bool(options.resume),
    )
    if fitted.finished:
        export(
            options.out / "weights.safetensors",
            outcome,
            fitted,
            {"data": config.data},
            images_before=_earlier(options, "decoder")[1],
            codes_before=codes_before,
        )
    return fitted


def _earlier(options: TrainRequest, part: str) -> tuple[dict[str, Mapping[str, Tensor]] | None, int]:
    """Weights by network of ``--from``'s ``part``, and what they had seen; a run without a density is no error."""
    from mien.training.state import initial_weights

    run = options.start_from
    if run is None or (part == "density" and not (run / part).is_dir()):
        return None, 0
    return initial_weights(run / part)
