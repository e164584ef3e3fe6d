"""Portraits: the thesis's decoder of frontal faces (paper), and the neutraliser of the crowd's decoder (mien)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.errors import RequestError
from mien.core.progress import progress_bars
from mien.pipelines.train.request import Trained, TrainRequest, finished, loop_settings, settings_of, use_threads
from mien.pipelines.train.settings import PortraitSettings

if TYPE_CHECKING:
    from mien.datasets.batches import FaceDataset
    from mien.datasets.catalog import CatalogRow
    from mien.datasets.portrait_views import PortraitRules
    from mien.generators.decoder import Decoder, StyleEncoder
    from mien.training.portrait_neutral import PhotographedFaces
    from mien.training.settings import Outcome

STEPS = 280_000  # the thesis: "after 280k iterations"
BATCH = 16
CHILD_YEARS = 16.0
CHILD_TO_FACES = 10  # preset mien: a child in so many faces
PREVIEWED = 16  # "a preselected set of 16 images"


def train_thesis(request: TrainRequest) -> Trained:
    """Preset paper: the decoder of A. Wang's thesis. With the setting ``count`` only the faces are counted."""
    own = settings_of(request, PortraitSettings)
    rules = rules_of(own)
    if own.count:
        from mien.datasets.batches import FaceDataset
        from mien.datasets.portrait_views import choose

        return Trained(None, tuple(counted(choose(FaceDataset.open(request.data), rules, "train")[1])))
    outcome, lines = train_paper(request, own)
    return finished(outcome, request.out, tuple(lines))


def rules_of(own: PortraitSettings) -> PortraitRules:
    """Which faces are learned from."""
    from mien.datasets.portrait_views import PortraitRules

    return PortraitRules(
        yaw_degrees=own.yaw,
        pitch_from_degrees=own.pitch[0],
        pitch_to_degrees=own.pitch[1],
        without=own.without,
        sharpness_at_least=own.sharpness,
        colour=own.colour,
        inside_at_least=own.inside,
    )


def counted(steps: Any) -> list[str]:
    """How many faces each filter leaves, a line each."""
    return [
        f"{step.faces:8d}  {step.filter}" + (f" (unknown of {step.unknown}: kept)" if step.unknown else "")
        for step in steps
    ]


def train_paper(request: TrainRequest, own: PortraitSettings) -> tuple[Outcome, list[str]]:
    """Train the thesis's decoder in RUN; and how many faces each filter left.

    The batches depend on the data, the rules and the seed alone.
    """
    from mien.core.files import write_json
    from mien.datasets.batches import FaceDataset
    from mien.datasets.portrait_views import batch_of, choose, portrait_batches, portrait_views
    from mien.faces.encoder import load_encoder
    from mien.faces.landmarks68 import load_landmarks
    from mien.papers.frontal_wang_2019.networks import FrontalConfig
    from mien.training.portrait_paper import PortraitPaperConfig, train_portrait

    rules, landmarks_name = rules_of(own), own.landmarks
    settings = loop_settings(request, steps=STEPS, batch_size=BATCH, precision="auto", preview_every=250)
    networks = FrontalConfig.of_size(own.size)
    data = FaceDataset.open(request.data)
    rows, steps = choose(data, rules, "train")
    if len(rows) < settings.batch_size:
        raise RequestError(f"--batch: {settings.batch_size} given, but the filters leave {len(rows)} faces")
    encoder, landmarks = load_encoder("facenet"), load_landmarks(landmarks_name)
    with progress_bars() as bar:
        seen = portrait_views(
            data,
            encoder,
            landmarks,
            rows,
            own.size,
            landmarks_name=landmarks_name,
            on_progress=bar("features, landmarks"),
        )
        shown = previewed(data)
        held_out = portrait_views(data, encoder, landmarks, shown, own.size, landmarks_name=landmarks_name)
    request.out.mkdir(parents=True, exist_ok=True)
    write_json(
        request.out / "faces.json",
        [{"filter": step.filter, "faces": step.faces, "unknown": step.unknown} for step in steps],
    )
    config = PortraitPaperConfig(
        networks=networks,
        rules=rules.model_dump(mode="json"),
        faces=tuple((step.filter, step.faces, step.unknown) for step in steps),
        data=data.fingerprint(),
        learning_rate=own.rate,
        warm_images=own.warm,
        mask_from_images=own.mask_from,
        with_adversarial=own.adversarial,
        with_mask=own.mask,
    )
    outcome = train_portrait(
        portrait_batches(seen, settings.batch_size, settings.seed),
        encoder.network,
        landmarks,
        request.out,
        config,
        settings,
        preview=batch_of(held_out, _all(len(held_out))),
        resume=bool(request.resume),
    )
    return outcome, counted(steps)


def fit_neutraliser(options: TrainRequest) -> Trained:
    """Preset mien: the directions of pose, expression and light, fitted to the decoder of RUN ``--from``; minutes."""
    if options.start_from is None:
        raise RequestError("--from: not given; wanted for --preset mien: the RUN of `mien train crowd` that is to draw")
    from mien.core.checkpoints import load_weights, under
    from mien.core.quantise import unpacked
    from mien.datasets.batches import FaceDataset
    from mien.generators.crowd.mien import MODEL as CROWD
    from mien.generators.portrait.mien import PACKAGED_CROWD, digest
    from mien.training.portrait_neutral import export, fit

    decoder, style, images = _decoder_of(options.start_from)
    use_threads(options)
    data = FaceDataset.open(options.data)
    seen = _seen_faces(data, decoder, style)
    neutraliser = fit(seen)
    packaged = (
        under("decoder.", unpacked(load_weights(PACKAGED_CROWD, model=CROWD)[0])) if PACKAGED_CROWD.is_file() else {}
    )
    children = 0 if seen.children is None else len(seen.children)
    about = {"data": data.fingerprint(), "faces": len(seen.crops), "children": children, "decoder_images": images}
    path = options.out / "weights.safetensors"
    export(path, neutraliser, decoder, about, with_decoder=digest(packaged) != digest(decoder.state_dict()))
    return Trained(path)


def _decoder_of(start_from: Path) -> tuple[Decoder, StyleEncoder, int]:
    """The decoder of a run of `mien train crowd`, its encoder of styles, and how many images they saw."""
    from mien.core.checkpoints import load_into
    from mien.generators.decoder import Decoder, DecoderConfig, StyleEncoder
    from mien.training.state import initial_weights

    run = start_from / "decoder" if (start_from / "decoder").is_dir() else start_from
    weights, images = initial_weights(run)
    if not {"decoder", "style"} <= weights.keys():
        raise RequestError(f"--from: {run} holds {', '.join(weights)}; wanted a run with 'decoder' and 'style'")
    config = DecoderConfig.make(_read_json(run / "run.json")["config"]["decoder"], where=str(run))
    decoder, style = Decoder(config), StyleEncoder(config)
    load_into(decoder, weights["decoder"], name=f"{run}: decoder")
    load_into(style, weights["style"], name=f"{run}: style")
    return decoder, style, images


def _seen_faces(data: FaceDataset, decoder: Decoder, style: StyleEncoder) -> PhotographedFaces:
    """Training faces with attributes as the decoder has them, and children. ``DatasetError`` where there is none."""
    import numpy as np
    import torch

    from mien.core.errors import DatasetError
    from mien.core.images import to_tensor
    from mien.datasets.features import features
    from mien.faces.encoder import load_encoder
    from mien.training.codes import standardised
    from mien.training.portrait_neutral import KEPT, PhotographedFaces

    train = data.rows("train").tolist()
    rows = np.array([row for row in train if data.faces[row].attributes_present], np.int64)
    if not len(rows):
        raise DatasetError(f"{data.dest}: no training face with attributes; portraits are fitted to a source like lfw")
    faces = [data.faces[row] for row in rows]
    young = np.array([row for row in train if _nameless_child(data.faces[row])], np.int64)
    young = young[:: max(1, round(len(young) * CHILD_TO_FACES / len(rows)))]  # more, and adults are told apart less
    with progress_bars() as bar:
        encoder = load_encoder("facenet")
        known = standardised(decoder, features(data, encoder, rows, on_progress=bar("features")))
        children = None
        if len(young):
            children = standardised(decoder, features(data, encoder, young, on_progress=bar("features of children")))
        crops = np.ascontiguousarray(data.pixels(128, bar("crops"))[rows])
        blocks = range(0, len(rows), 128)
        with torch.inference_mode():
            styles = np.concatenate([style(to_tensor(crops[k : k + 128]))[0].numpy() for k in blocks])

    def angles(name: str) -> Any:
        return np.array([getattr(face, name) or 0.0 for face in faces], np.float32)

    def has(name: str) -> Any:
        return np.array([name in face.attributes_present for face in faces])

    return PhotographedFaces(
        known, styles, crops, angles("yaw_degrees"), angles("pitch_degrees"), has("Smiling"), has("Mouth Closed"),
        [face.person for face in faces], np.stack([has(name) for name in KEPT], 1), has("Wearing Hat"), children,
    )  # fmt: skip


def _nameless_child(face: CatalogRow) -> bool:
    """Of a source without names: among the adults of LFW children hardly count as people, and were drawn older."""
    return face.person is None and face.age_years is not None and face.age_years < CHILD_YEARS


def _read_json(path: Path) -> Any:
    import json

    from mien.core.errors import RequestError

    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RequestError(f"{path}: not a readable JSON file; wanted the RUN of `mien train crowd`") from error


def previewed(data: Any) -> Any:
    """Rows of 16 held-out faces of any pose, spread over the validation split."""
    import numpy as np

    from mien.core.errors import DatasetError

    rows = data.rows("validation")
    if not len(rows):
        raise DatasetError(f"{data.dest}: no face in the split 'validation'; a larger dataset is wanted")
    places = np.unique(np.linspace(0, len(rows) - 1, PREVIEWED).round().astype(np.int64))
    return rows[places]


def _all(count: int) -> Any:
    import numpy as np

    return np.arange(count)
