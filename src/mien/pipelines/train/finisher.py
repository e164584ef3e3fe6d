"""The painter's finisher: an enlarger that learns from photographs painted over, and takes brush strokes away.

A photograph's tokens are noised in part and painted to the end, given the photograph's code: a picture of the same face
with the painter's own faults. What it is to become is the photograph at twice the size.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.progress import progress_bars
from mien.pipelines.train.request import Trained, TrainRequest, finished, loop_settings, settings_of, use_threads
from mien.pipelines.train.settings import FinisherSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mien.core.progress import OnStage
    from mien.datasets.batches import FaceDataset, Rows

KEPT = (0.25, 0.35, 0.45, 0.55, 0.7)  # how much of a photograph stays: from its layout alone to all but fine detail
PREVIEWED = 18
BLOCK = 256


def train_finisher_preset(request: TrainRequest) -> Trained:
    """Train in RUN; the pairs are kept there, so that a run that goes on need not paint again."""
    import numpy as np

    from mien.datasets.batches import FaceDataset
    from mien.datasets.pairs import pair_batches
    from mien.datasets.patches import DetailRules, detailed_rows
    from mien.faces.encoder import load_encoder
    from mien.generators.enlarger import EnlargerConfig
    from mien.pipelines.train.enlarger import begun_with
    from mien.training.enlarger import CRITIC_CHANNELS, EnlargerTrainingConfig, preview_sheet, train_enlarger

    own, out = settings_of(request, FinisherSettings), request.out
    settings = loop_settings(request, steps=5000, batch_size=6, preview_every=250, checkpoint_minutes=4.0)
    use_threads(request)
    data = FaceDataset.open(request.data)
    sources = tuple(filter(None, own.sources.split(",")))
    rules = DetailRules(least_px=own.least_px, faces=own.faces, sources=sources, of_each=own.of_each)
    rows = detailed_rows(data, "train", rules, settings.seed)
    with progress_bars() as bars:
        painted, photographs, version = painted_over(data, rows, settings.seed, out, bars)
    initial, before = begun_with(request.start_from)
    config = EnlargerTrainingConfig(
        enlarger=EnlargerConfig(blocks=3, deep_blocks=3, deepest_channels=144, deepest_blocks=4, fine_channels=16),
        learning_rate=4e-4, pixels=0.5, perceptual=0.2, critic=0.04, critic_learning_rate=6e-4, critic_from=0.02,
        critic_widths=(48, 96, 192), critic_maps=tuple(CRITIC_CHANNELS), critic_bounded=False, drawn_share=0.0,
        data=data.fingerprint(), rules=rules.model_dump(mode="json"), drawn_by=version, images_before=before,
    )  # fmt: skip
    outcome = train_enlarger(
        pair_batches(painted, photographs, settings.batch_size, settings.seed),
        load_encoder("facenet").network,
        out,
        config,
        settings,
        preview=preview_sheet([], np.ascontiguousarray(painted[:PREVIEWED])),
        initial=initial,
        resume=bool(request.resume),
    )
    return finished(outcome, out)


def painted_over(
    data: FaceDataset, rows: Rows, seed: int, out: Path, on_stage: OnStage
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], str]:
    """Photographs painted over (N s s 3), themselves (N 2s 2s 3), and the painter's version; both kept in OUT."""
    import numpy as np

    from mien.core.contract import FaceRequest
    from mien.core.images import resize, to_photos
    from mien.core.seeding import stream
    from mien.datasets.features import features
    from mien.faces.encoder import load_encoder
    from mien.generators.painter.renderer import PainterRenderer

    painter = PainterRenderer.load(look="any").unfinished()
    small, large = painter.size_px, 2 * painter.size_px
    name = f"{painter.version}-{seed}-{len(rows)}"
    paths = [out / f"{what}-{name}.npy" for what in ("painted", "photographs")]
    if all(path.is_file() for path in paths):
        return np.load(paths[0], mmap_mode="r"), np.load(paths[1], mmap_mode="r"), painter.version
    known = features(data, load_encoder("facenet"), rows, on_progress=on_stage("features")).astype(np.float32)
    kept = stream(seed, "kept").choice(KEPT, len(rows))
    out.mkdir(parents=True, exist_ok=True)
    bar = on_stage("photographs painted over")
    parts = [path.with_suffix(".tmp") for path in paths]
    made: Any = np.lib.format.open_memmap(parts[0], "w+", np.uint8, (len(rows), small, small, 3))
    true: Any = np.lib.format.open_memmap(parts[1], "w+", np.uint8, (len(rows), large, large, 3))
    for start in range(0, len(rows), BLOCK):
        part = slice(start, min(start + BLOCK, len(rows)))
        true[part] = np.stack([resize(crop, large, large) for crop in data.decoded(rows[part])])
        requests = [FaceRequest(seed, int(row)) for row in rows[part]]
        made[part] = to_photos(painter.repaint(known[part], requests, true[part], kept[part]))
        bar(part.stop, len(rows))
    made.flush(), true.flush()
    for before, after in zip(parts, paths, strict=True):
        before.replace(after)
    return np.load(paths[0], mmap_mode="r"), np.load(paths[1], mmap_mode="r"), painter.version
