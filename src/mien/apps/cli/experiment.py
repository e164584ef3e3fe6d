"""`mien experiment`: the experiments of the first paper (Cate, Dalvi, Hussain 2016), each one command, one report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np

    from mien.evaluation.report import Report
    from mien.faces.encoder import Encoder
    from mien.photos.batches import FaceDataset

experiment = typer.Typer(
    no_args_is_help=True, help="The first paper's experiments on faces of DEST: report.json, report.html and plots."
)

# What the paper looks at (fc-7 on its maps, fc-6 for single activations), and what stands for it in each encoder.
MAPPED = {"facenet": "pool", "vgg-face": "fc7"}
ACTIVATED = {"facenet": ("block17", "pool", "embedding"), "vgg-face": ("fc6",)}

Data = Annotated[Path, typer.Option(help="A dataset that `mien data prepare` made.", metavar="DEST")]
Out = Annotated[Path, typer.Option(help="Where the report goes.", metavar="DIR")]
EncoderName = Annotated[str, typer.Option("--encoder", help="facenet or vgg-face.")]
Count = Annotated[int, typer.Option(help="Faces at most, one of each person.", min=100)]
Seed = Annotated[int, typer.Option(help="Decides which faces are drawn, and every draw.", min=0)]
Force = Annotated[bool, typer.Option("--force", help="Replace a report that is there.")]


def register(app: typer.Typer) -> None:
    """Add ``mien experiment`` to the command line."""
    app.add_typer(experiment, name="experiment")


@experiment.command("distribution")
def distribution(data: Data, out: Out, force: Force = False) -> None:
    """How often each attribute occurs (figure 7; poster, figure 3)."""
    from mien.evaluation import report
    from mien.evaluation.experiments.distribution import distribution_report
    from mien.evaluation.marks import marks
    from mien.photos.batches import FaceDataset

    report.check_directory(out, force=force)
    faces = FaceDataset.open(data)
    found = marks(faces.faces)
    _done(distribution_report(found, _provenance(faces, faces_with_attributes=len(found))), out)


@experiment.command("tsne")
def tsne(
    data: Data,
    out: Out,
    encoder: EncoderName = "facenet",
    layer: Annotated[str | None, typer.Option(help="A tap of the encoder (default: pool, fc7).")] = None,
    count: Count = 4000,
    perplexity: Annotated[float, typer.Option(help="Of t-SNE: how many neighbours it minds.", min=2)] = 30,
    neighbours: Annotated[int, typer.Option(help="k of the purity.", min=1)] = 10,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """A map of encoder features by attribute, and how well each gathers (figure 3; poster, figure 2)."""
    import numpy as np

    from mien.evaluation import report
    from mien.evaluation.experiments.tsne import tsne_report
    from mien.evaluation.marks import marks, one_a_person
    from mien.photos.batches import FaceDataset
    from mien.seeding import stream

    report.check_directory(out, force=force)
    faces, network = FaceDataset.open(data), _encoder(encoder, [layer] if layer else [])
    tap = layer or MAPPED.get(network.name, network.taps[-1])
    everyone = marks(faces.faces)
    chosen = everyone.pick(np.sort(one_a_person(everyone.people, stream(seed, "faces"))[:count]))
    features = _features(faces, network, chosen.rows, tap)
    with _waiting(f"t-SNE of {len(chosen):,} faces"):
        provenance = _provenance(faces, encoder=network.name, layer=tap, faces=len(chosen), seed=seed)
        found = tsne_report(features, chosen, tap, provenance, seed=seed, perplexity=perplexity, k=neighbours)
    _done(found, out)


def _encoder(name: str, layers: Sequence[str]) -> Encoder:
    """The encoder, once every layer asked for is one of its taps."""
    from mien.errors import RequestError
    from mien.faces.encoder import load_encoder

    network = load_encoder(name)
    unknown = [layer for layer in layers if layer not in network.taps]
    if unknown:
        raise RequestError(f"--layer: '{unknown[0]}' given; {name} has {', '.join(network.taps)}")
    return network


def _features(data: FaceDataset, encoder: Encoder, rows: np.ndarray[Any, Any], tap: str) -> np.ndarray[Any, Any]:
    """Features (N D float32) of ``rows`` with a progress bar; computed once, then read from the cache of DEST."""
    import numpy as np
    from rich.console import Console
    from rich.progress import Progress

    from mien.photos.features import features

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{encoder.name} {tap}", total=len(rows))
        values = features(data, encoder, rows, tap=tap, progress=lambda done, of: bar.update(task, completed=done))
    return values.astype(np.float32)


def _waiting(what: str) -> Any:
    """A turning wheel on stderr while something takes its time."""
    from rich.console import Console

    return Console(stderr=True).status(what)


def _provenance(data: FaceDataset, **more: str | int | float) -> dict[str, str | int | float | None]:
    from datetime import UTC, datetime

    import mien

    return {
        "mien": mien.__version__,
        "dataset_fingerprint": data.fingerprint(),
        **more,
        "command": " ".join(["mien", *sys.argv[1:]]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _done(found: Report, out: Path) -> None:
    from mien.evaluation import report

    page = report.write(found, out)
    typer.echo(found.summary)
    typer.echo(page)
