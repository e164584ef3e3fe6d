"""`mien train portrait`: the thesis's decoder of frontal faces, with the filters of its data as options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.apps.cli import train as common

if TYPE_CHECKING:
    from mien.datasets.catalog import CatalogRow
    from mien.datasets.portrait_views import PortraitRules
    from mien.training.settings import Outcome

SIZE_PX = 320
STEPS = 280_000  # the thesis: "after 280k iterations"
BATCH = 16
RATE = 2e-4
WARM = 20_000
CHILD_YEARS = 16.0
CHILD_TO_FACES = 10  # preset mien: a child in so many faces
PREVIEWED = 16  # "a preselected set of 16 images"


def portrait(
    data: common.Data,
    out: common.Out,
    preset: common.Preset = "mien",
    resume: common.Resume = False,
    steps: common.Steps = None,
    batch: common.BatchSize = None,
    seed: common.Seed = 0,
    threads: common.Threads = None,
    device: common.Device = "auto",
    precision: common.Precision = None,
    minutes: common.Minutes = None,
    size: Annotated[int, typer.Option("--size", help="Height and width, px: a multiple of 64.")] = SIZE_PX,
    yaw: Annotated[float, typer.Option("--yaw", help="Learn from faces turned by at most so many degrees.")] = 5.0,
    pitch: Annotated[
        tuple[float, float], typer.Option("--pitch", help="... and nodding from the first to the second, degrees.")
    ] = (-15.0, 15.0),
    without: Annotated[
        list[str] | None,
        typer.Option("--without", help="... without this attribute as the source marks it, 'Wearing Hat'; repeatable."),
    ] = None,
    sharpness: Annotated[
        float | None, typer.Option("--sharpness", help="... at least so sharp (`sharpness` of the catalogue).")
    ] = None,
    colour: Annotated[bool, typer.Option("--colour", help="... with colour.")] = False,
    inside: Annotated[
        float | None, typer.Option("--inside", help="... with so large a share of the crop photograph, 0 to 1.")
    ] = None,
    start_from: Annotated[
        Path | None,
        typer.Option("--from", help="Preset mien: the RUN of `mien train crowd` whose decoder is to draw."),
    ] = None,
    landmarks: Annotated[str, typer.Option("--landmarks", help="The network of the 68 points.")] = "face-mesh",
    rate: Annotated[float, typer.Option("--rate", help="Learning rate of Adam; the thesis prints none.")] = RATE,
    warm: Annotated[
        int, typer.Option("--warm", min=0, help="Images that teach texture alone, before landmarks are looked for.")
    ] = WARM,
    adversarial: Annotated[bool, typer.Option(help="The adversarial loss (off: the ablation of section 4.4).")] = True,
    mask: Annotated[bool, typer.Option(help="The attention mask (off: the ablation of section 4.4).")] = True,
    count: Annotated[
        bool, typer.Option("--count", help="Only say how many faces each filter leaves, and train nothing.")
    ] = False,
) -> None:
    """Train what draws a face from its features as it looks ahead, neutral, on white.

    Preset paper: the decoder of A. Wang's thesis (the options from --size on are for it). Preset mien: the decoder of
    crowds (--from RUN), to which the directions of pose, expression and light are fitted; some minutes.
    """
    from mien.core.errors import RequestError
    from mien.datasets.portrait_views import PortraitRules

    if preset not in ("mien", "paper"):
        raise RequestError(f"--preset: no '{preset}' for portrait; allowed: mien, paper")
    for name, value in (("--steps", steps), ("--batch", batch), ("--threads", threads)):
        if value is not None and value < 1:
            raise RequestError(f"{name}: {value} given, allowed are 1 and more")
    if yaw <= 0 or pitch[0] >= pitch[1]:
        raise RequestError(f"--yaw, --pitch: {yaw:g} and {pitch[0]:g} {pitch[1]:g} given; wanted a range of degrees")
    if rate <= 0:
        raise RequestError(f"--rate: {rate:g} given; allowed are rates above 0")
    rules = PortraitRules(
        yaw_degrees=yaw,
        pitch_from_degrees=pitch[0],
        pitch_to_degrees=pitch[1],
        without=tuple(without or ()),
        sharpness_at_least=sharpness,
        colour=colour,
        inside_at_least=inside,
    )
    if count:
        _count(data, rules)
        return
    options = common.TrainOptions(
        data, out, resume, steps, batch, seed, threads, device, precision, minutes, start_from
    )
    if preset == "mien":
        _fit(options)
        return
    if start_from is not None:
        raise RequestError("--from: the paper preset starts at random, as printed; allowed with --preset mien")
    outcome = train_paper(options, rules, size, landmarks, rate=rate, warm=warm, adversarial=adversarial, masked=mask)
    common._finish(outcome, out)


def _count(dest: Path, rules: PortraitRules) -> None:
    from mien.datasets.batches import FaceDataset
    from mien.datasets.portrait_views import choose

    for line in counted(choose(FaceDataset.open(dest), rules, "train")[1]):
        typer.echo(line)


def counted(steps: Any) -> list[str]:
    """How many faces each filter leaves, a line each."""
    return [
        f"{step.faces:8d}  {step.filter}" + (f" (unknown of {step.unknown}: kept)" if step.unknown else "")
        for step in steps
    ]


def train_paper(
    options: common.TrainOptions,
    rules: PortraitRules,
    size: int,
    landmarks_name: str,
    *,
    rate: float,
    warm: int,
    adversarial: bool,
    masked: bool,
) -> Outcome:
    """Train the thesis's decoder in ``options.out``. The batches depend on the data, the rules and the seed alone."""
    from mien.apps.cli.train_crowd import progress_bars
    from mien.core.errors import RequestError
    from mien.core.files import write_json
    from mien.datasets.batches import FaceDataset
    from mien.datasets.portrait_views import batch_of, choose, portrait_batches, portrait_views
    from mien.faces.encoder import load_encoder
    from mien.faces.landmarks68 import load_landmarks
    from mien.papers.frontal_wang_2019.networks import PaperConfig
    from mien.training.portrait_paper import PortraitPaperConfig, train_portrait

    settings = common._settings(options, steps=STEPS, batch_size=BATCH, precision="bf16", preview_every=250)
    networks = PaperConfig.of_size(size)
    data = FaceDataset.open(options.data)
    rows, steps = choose(data, rules, "train")
    if len(rows) < settings.batch_size:
        raise RequestError(f"--batch: {settings.batch_size} given, but the filters leave {len(rows)} faces")
    for line in counted(steps):
        typer.echo(line, err=True)
    encoder, landmarks = load_encoder("facenet"), load_landmarks(landmarks_name)
    with progress_bars() as told:
        seen = portrait_views(
            data, encoder, landmarks, rows, size, landmarks_name=landmarks_name, progress=told("features, landmarks")
        )
        shown = previewed(data)
        held_out = portrait_views(data, encoder, landmarks, shown, size, landmarks_name=landmarks_name)
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(
        options.out / "faces.json",
        [{"filter": step.filter, "faces": step.faces, "unknown": step.unknown} for step in steps],
    )
    config = PortraitPaperConfig(
        networks=networks,
        rules=rules.model_dump(mode="json"),
        faces=tuple((step.filter, step.faces, step.unknown) for step in steps),
        data=data.fingerprint(),
        learning_rate=rate,
        warm_images=warm,
        with_adversarial=adversarial,
        with_mask=masked,
    )
    return train_portrait(
        portrait_batches(seen, settings.batch_size, settings.seed),
        encoder.network,
        landmarks,
        options.out,
        config,
        settings,
        preview=batch_of(held_out, _all(len(held_out))),
        resume=options.resume,
    )


def _fit(options: common.TrainOptions) -> None:
    import numpy as np
    import torch

    from mien.apps.cli.train_crowd import progress_bars
    from mien.core.checkpoints import load_into, load_weights
    from mien.core.errors import DatasetError, RequestError
    from mien.core.images import to_tensor
    from mien.core.quantise import unpacked
    from mien.datasets.batches import FaceDataset
    from mien.datasets.features import features
    from mien.faces.encoder import load_encoder
    from mien.generators.crowd.mien import MODEL as CROWD
    from mien.generators.decoder import Decoder, DecoderConfig, StyleEncoder
    from mien.generators.portrait.mien import PACKAGED_CROWD, digest, under
    from mien.training.codes import standardised
    from mien.training.portrait_neutral import KEPT, Seen, export, fit
    from mien.training.state import initial_weights

    if options.start_from is None:
        raise RequestError("--from: not given; wanted for --preset mien: the RUN of `mien train crowd` that is to draw")
    run = options.start_from / "decoder" if (options.start_from / "decoder").is_dir() else options.start_from
    weights, images = initial_weights(run)
    if not {"decoder", "style"} <= weights.keys():
        raise RequestError(f"--from: {run} holds {', '.join(weights)}; wanted a run with 'decoder' and 'style'")
    config = DecoderConfig.make(_read_json(run / "run.json")["config"]["decoder"], where=str(run))
    decoder, style = Decoder(config), StyleEncoder(config)
    load_into(decoder, weights["decoder"], name=f"{run}: decoder")
    load_into(style, weights["style"], name=f"{run}: style")
    if options.threads is not None:
        torch.set_num_threads(options.threads)

    data = FaceDataset.open(options.data)
    marked = [row for row in data.rows("train").tolist() if data.faces[row].attributes_present]
    rows = np.array(marked, np.int64)
    if not len(rows):
        raise DatasetError(f"{data.dest}: no training face with attributes; portraits are fitted to a source like lfw")
    faces = [data.faces[row] for row in rows]
    young = np.array([row for row in data.rows("train").tolist() if _nameless_child(data.faces[row])], np.int64)
    young = young[:: max(1, round(len(young) * CHILD_TO_FACES / len(rows)))]  # more, and grown-ups are told apart less
    with progress_bars() as told:
        encoder = load_encoder("facenet")
        known = standardised(decoder, features(data, encoder, rows, progress=told("features")))
        children = None
        if len(young):
            children = standardised(decoder, features(data, encoder, young, progress=told("features of children")))
        crops = np.ascontiguousarray(data.pixels(128, told("crops"))[rows])
        blocks = range(0, len(rows), 128)
        with torch.inference_mode():
            styles = np.concatenate([style(to_tensor(crops[k : k + 128]))[0].numpy() for k in blocks])

    def angles(name: str) -> Any:
        return np.array([getattr(face, name) or 0.0 for face in faces], np.float32)

    def has(name: str) -> Any:
        return np.array([name in face.attributes_present for face in faces])

    seen = Seen(
        known, styles, crops, angles("yaw_degrees"), angles("pitch_degrees"), has("Smiling"), has("Mouth Closed"),
        [face.person for face in faces], np.stack([has(name) for name in KEPT], 1), has("Wearing Hat"), children,
    )  # fmt: skip
    neutraliser = fit(seen)
    packaged = (
        under("decoder.", unpacked(load_weights(PACKAGED_CROWD, model=CROWD)[0])) if PACKAGED_CROWD.is_file() else {}
    )
    about = {"data": data.fingerprint(), "faces": len(rows), "children": len(young), "decoder_images": images}
    path = options.out / "weights.safetensors"
    export(path, neutraliser, decoder, about, with_decoder=digest(packaged) != digest(decoder.state_dict()))
    typer.echo(str(path))


def _nameless_child(face: CatalogRow) -> bool:
    """Of a source without names: among grown-ups of LFW children hardly count as people, and were drawn older."""
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


def register(train_app: typer.Typer) -> None:
    """Add the command to `mien train`."""
    train_app.command("portrait")(portrait)
