"""`mien evaluate portrait`: portraits of held-out people, judged beside their photographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mien.core.records import UInt8Image
    from mien.evaluation.features import Track
    from mien.evaluation.portrait import Made, PortraitJudges
    from mien.evaluation.report import Section
    from mien.pipelines.portrait_model import PortraitPipeline

WHITE = (255, 255, 255)
PORTRAIT, PLAIN = "portrait", "decoded as read"


def portrait(
    data: Annotated[Path, typer.Option(help="A dataset that `mien data prepare` made.", metavar="DEST")],
    out: Annotated[Path, typer.Option(help="Where the report goes.", metavar="REPORT_DIR")],
    preset: Annotated[str, typer.Option(help="mien, or paper (give --weights).")] = "mien",
    weights: Annotated[
        Path | None, typer.Option(help="Weights of `mien train portrait` instead of the packaged ones.")
    ] = None,
    peer: Annotated[
        list[Path] | None,
        typer.Option(help="Weights to judge beside, of the same preset (an ablation, say); may be repeated."),
    ] = None,
    count: Annotated[int, typer.Option(help="How many people, at most; each has two photos.", min=20)] = 240,
    seed: Annotated[int, typer.Option(help="The seed of the people, their photos and the folds.", min=0)] = 0,
    ages: Annotated[
        int, typer.Option(help="Further faces of each span of ages, and with hats, at most; 0: none.", min=0)
    ] = 40,
    force: Annotated[bool, typer.Option("--force", help="Replace a report that is there.")] = False,
) -> None:
    """Judge portraits: identity, pose, expression, consistency, years, detection, sharpness; pages with the photos.

    The report holds photographs of persons. It is written to REPORT_DIR and nowhere else.
    """
    from mien.apps.cli.evaluate import tracking
    from mien.core.errors import RequestError
    from mien.evaluation import faces, report
    from mien.evaluation.portrait import NetworkPortraitJudges, draw_people
    from mien.evaluation.portrait_report import judge_portraits
    from mien.pipelines.portrait_model import CROP_PX, PortraitPipeline

    if preset == "paper" and weights is None:
        raise RequestError("--preset: paper has no packaged weights; give --weights of `mien train portrait`")
    report.check_directory(out, force=force)
    people = draw_people(data, count, seed=seed)
    rows = [row for pair in people for row in pair]
    makers = [(PORTRAIT, PortraitPipeline.load(preset, weights=weights))]
    makers += [("/".join(path.parts[-2:]), PortraitPipeline.load(preset, weights=path)) for path in peer or ()]
    judges = NetworkPortraitJudges.load()
    with tracking() as track:
        with track("photos read", len(rows)) as advance:
            crops = faces.read_faces(data, rows, CROP_PX, progress=advance).crops
        made = [_portraits(name, maker, crops, track) for name, maker in makers]
        kept = _kept(data, ages, seed, makers[0][1], judges, track) if ages else None
        found = judge_portraits(
            crops.reshape(len(people), 2, *crops.shape[1:]),
            made[0],
            made[1:],
            judges,
            plain=_plain(makers[0][1], crops, track),
            kept=kept,
            title=f"Portraits of {makers[0][1].drawer.name}, judged",
            provenance=report.Provenance(
                model=" + ".join(f"{maker.drawer.name} {maker.model_version()}" for _, maker in makers),
                judges=judges.version,
                dataset_fingerprint=faces.fingerprint(rows, CROP_PX),
                n=len(people),
                seed=seed,
                details={"split": "test", "photos": len(rows)},
            ),
            track=track,
        )
    page = report.write(found, out)
    typer.echo(found.summary)
    typer.echo(page)


def _kept(
    data: Path, each: int, seed: int, maker: PortraitPipeline, judges: PortraitJudges, track: Track
) -> Section | None:
    """Portraits of faces of all ages and with hats, judged; None where the dataset knows of neither."""
    import numpy as np

    from mien.evaluation import faces
    from mien.evaluation.portrait_kept import draw_kept, judge_kept
    from mien.generators.portrait.silhouette import over
    from mien.pipelines.portrait_model import CROP_PX

    kept = draw_kept(data, each, seed=seed)
    if not kept.rows:
        return None
    with track("photos of all ages read", len(kept.rows)) as advance:
        crops = faces.read_faces(data, kept.rows, CROP_PX, progress=advance).crops
    made = []
    with track("portraits of all ages made", len(crops)) as advance:
        for crop in crops:
            made.append(over(*maker.of_crop(crop), WHITE))
            advance(1)
    with track("years and hats judged", 2 * len(crops)) as advance:
        return judge_kept(kept, crops, PORTRAIT, np.stack(made), judges, advance)


def _portraits(name: str, maker: PortraitPipeline, crops: Sequence[UInt8Image] | UInt8Image, track: Track) -> Made:
    """A portrait on white of each crop, in pairs, and the masks."""
    import numpy as np

    from mien.evaluation.portrait import Made
    from mien.generators.portrait.silhouette import over

    images, masks = [], []
    with track(f"{name}: portraits made", len(crops)) as advance:
        for crop in crops:
            drawn, mask = maker.of_crop(crop)
            images.append(over(drawn, mask, WHITE))
            masks.append(mask)
            advance(1)
    pictures, cut = np.stack(images), np.stack(masks)
    return Made(
        name,
        pictures.reshape(-1, 2, *pictures.shape[1:]),
        cut.reshape(-1, 2, *cut.shape[1:]),
        variant=getattr(maker.drawer, "variant", ""),
        trained_images=getattr(maker.drawer, "trained_images", None),
        learned_from=getattr(maker.drawer, "learned_from", ()),
    )


def _plain(maker: PortraitPipeline, crops: UInt8Image, track: Track) -> Made | None:
    """What the decoder draws of each crop without making it neutral, in pairs; ``None`` where it cannot."""
    import numpy as np

    from mien.evaluation.portrait import Made

    images = []
    with track(f"{PLAIN}: made", len(crops)) as advance:
        for crop in crops:
            drawn = maker.as_read(crop)
            if drawn is None:
                return None
            images.append(drawn)
            advance(1)
    pictures = np.stack(images)
    return Made(PLAIN, pictures.reshape(-1, 2, *pictures.shape[1:]))


def register(evaluate: typer.Typer) -> None:
    """Add the command to `mien evaluate`."""
    evaluate.command("portrait")(portrait)
