"""`mien train portrait`: the thesis's decoder of frontal faces, with the filters of its data as options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.apps.cli import train as common

if TYPE_CHECKING:
    from mien.photos.portrait_views import PortraitRules

SIZE_PX = 320
STEPS = 280_000  # the thesis: "after 280k iterations"
BATCH = 16
PREVIEWED = 16  # "a preselected set of 16 images"


def portrait(
    data: common.Data,
    out: common.Out,
    preset: Annotated[str, typer.Option("--preset", help="paper: the thesis of A. Wang, as printed.")] = "paper",
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
    landmarks: Annotated[str, typer.Option("--landmarks", help="The network of the 68 points.")] = "face-mesh",
    adversarial: Annotated[bool, typer.Option(help="The adversarial loss (off: the ablation of section 4.4).")] = True,
    mask: Annotated[bool, typer.Option(help="The attention mask (off: the ablation of section 4.4).")] = True,
    count: Annotated[
        bool, typer.Option("--count", help="Only say how many faces each filter leaves, and train nothing.")
    ] = False,
) -> None:
    """Train the decoder that draws a face from features as it looks ahead, neutral, on white."""
    from mien.errors import RequestError
    from mien.photos.portrait_views import PortraitRules

    if preset != "paper":
        raise RequestError(f"--preset: no '{preset}' for portrait; allowed: paper")
    for name, value in (("--steps", steps), ("--batch", batch), ("--threads", threads)):
        if value is not None and value < 1:
            raise RequestError(f"{name}: {value} given, allowed are 1 and more")
    if yaw <= 0 or pitch[0] >= pitch[1]:
        raise RequestError(f"--yaw, --pitch: {yaw:g} and {pitch[0]:g} {pitch[1]:g} given; wanted a range of degrees")
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
    options = common.TrainOptions(data, out, resume, steps, batch, seed, threads, device, precision, minutes)
    _train(options, rules, size, landmarks, adversarial=adversarial, masked=mask)


def _count(dest: Path, rules: PortraitRules) -> None:
    from mien.photos.batches import FaceDataset
    from mien.photos.portrait_views import choose

    for line in counted(choose(FaceDataset.open(dest), rules, "train")[1]):
        typer.echo(line)


def counted(steps: Any) -> list[str]:
    """How many faces each filter leaves, a line each."""
    return [
        f"{step.faces:8d}  {step.filter}" + (f" (unknown of {step.unknown}: kept)" if step.unknown else "")
        for step in steps
    ]


def _train(
    options: common.TrainOptions,
    rules: PortraitRules,
    size: int,
    landmarks_name: str,
    *,
    adversarial: bool,
    masked: bool,
) -> None:
    from mien.apps.cli.train_crowd import progress_bars
    from mien.errors import RequestError
    from mien.faces.encoder import load_encoder
    from mien.faces.landmarks68 import load_landmarks
    from mien.files import write_json
    from mien.generators.portrait.paper import PaperConfig
    from mien.photos.batches import FaceDataset
    from mien.photos.portrait_views import batch_of, choose, portrait_batches, portrait_views
    from mien.training.portrait_paper import PortraitPaperConfig, train_portrait

    settings = common._settings(options, steps=STEPS, batch_size=BATCH, precision="bf16")
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
        data=data.fingerprint(),
        with_adversarial=adversarial,
        with_mask=masked,
    )
    outcome = train_portrait(
        portrait_batches(seen, settings.batch_size, settings.seed),
        encoder.network,
        landmarks,
        options.out,
        config,
        settings,
        preview=batch_of(held_out, _all(len(held_out))),
        resume=options.resume,
    )
    common._finish(outcome, options.out)


def previewed(data: Any) -> Any:
    """Rows of 16 held-out faces of any pose, spread over the validation split."""
    import numpy as np

    from mien.errors import DatasetError

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
