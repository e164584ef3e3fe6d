"""Mixtures, preset draw: the recurrent variational autoencoder that constructs what the paper's mixture estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mien.core.progress import progress_bars
from mien.pipelines.train.request import Trained, TrainRequest, finished, loop_settings, settings_of, use_threads
from mien.pipelines.train.settings import DrawSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mien.core.records import UInt8Image
    from mien.datasets.batches import FaceDataset, Rows

HELD_OUT = 256  # faces of the validation split
LAYER = "pool"


def train_draw_preset(request: TrainRequest) -> Trained:
    """Train DRAW in RUN on the training faces and their activations; weights are written there."""
    import numpy as np

    from mien.core.images import to_tensor, to_unit
    from mien.core.seeding import stream
    from mien.datasets.batches import FaceDataset
    from mien.datasets.features import features
    from mien.faces.encoder import load_encoder
    from mien.papers.draw_gregor_2015.network import DrawConfig
    from mien.training.draw import DrawTrainingConfig, fit_whitening, train_draw

    own = settings_of(request, DrawSettings)
    settings = loop_settings(request, steps=20_000, batch_size=64, precision="auto", channels_last=False)
    use_threads(request)
    data, encoder = FaceDataset.open(request.data), load_encoder("facenet")
    rows, held_out = data.rows("train"), data.rows("validation")
    held_out = np.sort(stream(0, "held out").permutation(held_out)[:HELD_OUT])
    with progress_bars() as bars:
        known = features(data, encoder, rows, tap=LAYER, on_progress=bars("features"))
        known_held_out = features(data, encoder, held_out, tap=LAYER)
        config = DrawTrainingConfig(
            network=DrawConfig(**own.model_dump(include=set(DrawConfig.model_fields))),
            layer=LAYER, learning_rate=own.rate, data=data.fingerprint(),
        )  # fmt: skip
        whitening = fit_whitening(known, config.network.condition)
        size = config.network.size_px
        photos = _windows(data, rows, size, bars("photos"))
        shown = _windows(data, held_out, size, bars("held-out photos"))
    codes = whitening.codes(known).numpy()

    def batch_at(step: int) -> dict[str, npt.NDArray[np.generic]]:
        chosen = stream(settings.seed, "batches", step).integers(0, len(rows), settings.batch_size)
        return {"image": photos[chosen], "condition": codes[chosen]}

    mean = to_unit(to_tensor(np.round(photos.mean(0)).astype(np.uint8)))[0]
    validation = {"image": shown, "condition": whitening.codes(known_held_out).numpy()}
    outcome = train_draw(
        batch_at, whitening, mean, request.out, config, settings, validation=validation, resume=bool(request.resume)
    )
    return finished(outcome, request.out)


def _windows(data: FaceDataset, rows: Rows, size: int, on_progress: Any) -> UInt8Image:
    """The windows that the encoder reads of each row: N size size 3."""
    import numpy as np

    from mien.core.images import to_photos, to_tensor
    from mien.faces.align import encoder_window

    found = np.empty((len(rows), size, size, 3), np.uint8)
    for start in range(0, len(rows), 64):
        part = slice(start, start + 64)
        found[part] = to_photos(encoder_window(to_tensor(data.decoded(rows[part])), size))
        on_progress(min(start + 64, len(rows)), len(rows))
    return found
