"""`mien experiment`: the experiments of the papers, a command and a report each; here those of Cate et al. (2016)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np

    from mien.datasets.batches import FaceDataset
    from mien.evaluation.report import Provenance, Report
    from mien.evaluation.verification import Pairs
    from mien.faces.encoder import Encoder

experiment = typer.Typer(
    no_args_is_help=True, help="The papers' experiments on faces of DEST: report.json, report.html and plots."
)

# What the paper looks at (fc-7 on its maps, fc-6 for single activations), and what stands for it in each encoder.
MAPPED = {"facenet": "pool", "vgg-face": "fc7"}
VERIFIED = {"facenet": "embedding", "vgg-face": "fc7"}
ACTIVATED = {"facenet": ("block17", "pool", "embedding"), "vgg-face": ("fc6",)}

Data = Annotated[Path, typer.Option(help="A dataset that `mien data prepare` made.", metavar="DEST")]
Out = Annotated[Path, typer.Option(help="Where the report goes.", metavar="DIR")]
EncoderName = Annotated[str, typer.Option("--encoder", help="facenet or vgg-face.")]
Count = Annotated[int, typer.Option(help="Faces at most, one of each person.", min=100)]
Seed = Annotated[int, typer.Option(help="Decides which faces are drawn, and every draw.", min=0)]
Force = Annotated[bool, typer.Option("--force", help="Replace a report that is there.")]


def register(app: typer.Typer) -> None:
    """Add ``mien experiment`` to the command line."""
    from mien.apps.cli import experiment_imagine

    experiment_imagine.register(experiment)
    from mien.apps.cli import experiment_ablation

    experiment_ablation.register(experiment)
    app.add_typer(experiment, name="experiment")


@experiment.command("distribution")
def distribution(data: Data, out: Out, force: Force = False) -> None:
    """How often each attribute occurs (figure 7; poster, figure 3)."""
    from mien.datasets.batches import FaceDataset
    from mien.evaluation import report
    from mien.evaluation.experiments.distribution import distribution_report
    from mien.evaluation.marks import marks

    report.check_directory(out, force=force)
    faces = FaceDataset.open(data)
    found = marks(faces.faces)
    done(distribution_report(found, provenance(faces, "", len(found))), out)


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

    from mien.core.seeding import stream
    from mien.datasets.batches import FaceDataset
    from mien.evaluation import report
    from mien.evaluation.experiments.tsne import tsne_report
    from mien.evaluation.marks import marks, one_a_person

    report.check_directory(out, force=force)
    faces, network = FaceDataset.open(data), _encoder(encoder, [layer] if layer else [])
    tap = layer or MAPPED.get(network.name, network.taps[-1])
    everyone = marks(faces.faces)
    chosen = everyone.pick(np.sort(one_a_person(everyone.people, stream(seed, "faces"))[:count]))
    features = encoded(faces, network, chosen.rows, tap)
    with _waiting(f"t-SNE of {len(chosen):,} faces"):
        about = provenance(faces, network.name, len(chosen), seed, layer=tap)
        found = tsne_report(features, chosen, tap, about, seed=seed, perplexity=perplexity, k=neighbours)
    done(found, out)


@experiment.command("activations")
def activations(
    data: Data,
    out: Out,
    encoder: EncoderName = "facenet",
    layer: Annotated[list[str] | None, typer.Option(help="A tap of the encoder; may be repeated.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help="Looked at closely (default: Black, Male, as the paper); may be repeated.")
    ] = None,
    count: Annotated[int, typer.Option(help="Faces of each attribute at most.", min=20)] = 180,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Tests of normality on every element of a layer, for the faces of an attribute (figure 6)."""
    import numpy as np

    from mien.attributes import parse
    from mien.core.errors import RequestError
    from mien.core.seeding import stream
    from mien.datasets.batches import FaceDataset
    from mien.evaluation import report
    from mien.evaluation.experiments.activations import NARROW, activations_report
    from mien.evaluation.marks import marks, one_a_person

    report.check_directory(out, force=force)
    said = [parse(word, option="--attribute", strengths=False) for word in attribute or ("Black", "Male")]
    for word, meant in zip(attribute or (), said, strict=False):
        if len(meant) != 1 or not all(meant.values()):
            raise RequestError(f"--attribute: '{word}' given; allowed is one attribute that is there, as in `Male`")
    named = list(dict.fromkeys(name for meant in said for name in meant))
    faces, network = FaceDataset.open(data), _encoder(encoder, layer or [])
    taps = layer or ACTIVATED.get(network.name, network.taps[-1:])
    everyone = marks(faces.faces)
    chosen = everyone.pick(np.sort(one_a_person(everyone.people, stream(seed, "faces"))))
    kept: dict[str, np.ndarray[Any, Any]] = {}

    def fetch(tap: str, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if tap in kept:
            return kept[tap][np.searchsorted(chosen.rows, rows)]
        values = encoded(faces, network, rows, tap)
        if values.shape[1] <= NARROW:  # every attribute will be asked for
            kept[tap] = encoded(faces, network, chosen.rows, tap)
        return values

    about = provenance(faces, network.name, len(chosen), seed, layers=", ".join(taps))
    found = activations_report(chosen, fetch, list(taps), named, about, count=count, seed=seed)
    done(found, out)


@experiment.command("verification")
def verification(
    data: Data,
    out: Out,
    encoder: EncoderName = "facenet",
    layer: Annotated[str | None, typer.Option(help="A tap of the encoder (default: embedding, fc7).")] = None,
    source: Annotated[str, typer.Option(help="Photos of this source, which must name its people.")] = "lfw",
    folds: Annotated[int, typer.Option(help="Groups of people.", min=2)] = 10,
    pairs: Annotated[int, typer.Option(help="Pairs of one person, and of two, in each fold.", min=10)] = 300,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """LFW's protocol: pairs of one person and of two, told apart at the best threshold of the other folds."""
    from mien.core.errors import DatasetError
    from mien.datasets.batches import FaceDataset
    from mien.evaluation import report
    from mien.evaluation.experiments.verification import verification_report
    from mien.evaluation.verification import draw_pairs

    report.check_directory(out, force=force)
    faces, network = FaceDataset.open(data), _encoder(encoder, [layer] if layer else [])
    tap = layer or VERIFIED.get(network.name, network.taps[-1])
    named = [int(row) for row in faces.rows(None, source) if faces.faces[int(row)].person is not None]
    if not named:
        raise DatasetError(f"{data}: no face of '{source}' with a person's name; allowed are sources that name people")
    people = [str(faces.faces[row].person) for row in named]
    drawn = draw_pairs(people, folds=folds, each=pairs, seed=seed)
    features = {"one view": _verified(faces, network, named, tap, drawn)}
    about = provenance(faces, network.name, len(drawn), seed, layer=tap)
    done(verification_report(features, people, drawn, tap, about), out)


@experiment.command("unfreezing")
def unfreezing(
    data: Data,
    out: Out,
    encoder: EncoderName = "facenet",
    layer: Annotated[
        list[str] | None, typer.Option(help="Unfreeze from this tap on, a run each; may be repeated.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Batches of each run.", min=2)] = 80,
    batch: Annotated[int, typer.Option(help="Faces of a batch.", min=2)] = 24,
    lr: Annotated[float, typer.Option("--lr", help="Learning rate of the heads.", min=0)] = 1e-3,
    encoder_lr: Annotated[float, typer.Option("--encoder-lr", help="... of the unfrozen layers.", min=0)] = 5e-5,
    lr_decay_per_layer: Annotated[
        float, typer.Option("--lr-decay-per-layer", help="Of the run whose rate falls with depth.", min=0, max=1)
    ] = 0.8,
    judged: Annotated[int, typer.Option(help="Faces asked in the end, of training and of test people.", min=20)] = 400,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Loss curves and accuracies after unfreezing different layers (figure 4, table 1), by short real runs.

    The same command goes on where it was stopped: runs that ended are read from DIR/runs.
    """
    from mien.apps.cli import experiment_unfreezing as runs
    from mien.core.errors import RequestError
    from mien.datasets.batches import FaceDataset
    from mien.evaluation import report
    from mien.evaluation.experiments.unfreezing import unfreezing_report

    report.check_directory(out, force=force)
    if lr <= 0:
        raise RequestError(f"--lr: {lr:g} given; allowed are rates above 0")
    network = _encoder(encoder, layer or [])
    plan = runs.Plan(FaceDataset.open(data), encoder, steps, batch, lr, encoder_lr, lr_decay_per_layer, judged, seed)
    depths: list[tuple[str | None, bool]] = [(None, False), *((tap, False) for tap in layer or runs.DEPTHS[encoder])]
    depths.append((layer[-1] if layer else runs.FALLING[encoder], True))
    runs.check(network, [tap for tap, _ in depths if tap])
    with _waiting("faces are decoded"):
        faces = runs.gather(plan, network)
    found = [runs.run_of(plan, faces, tap, falling, out / "runs") for tap, falling in depths]
    about = provenance(
        plan.data, encoder, judged, seed, steps=steps, batch=batch, lr=f"{lr:g}", encoder_lr=f"{encoder_lr:g}"
    )
    done(unfreezing_report(found, runs.examined(faces), about), out)


def _encoder(name: str, layers: Sequence[str]) -> Encoder:
    """The encoder, once every layer asked for is one of its taps."""
    from mien.core.errors import RequestError
    from mien.faces.encoder import load_encoder

    network = load_encoder(name)
    unknown = [layer for layer in layers if layer not in network.taps]
    if unknown:
        raise RequestError(f"--layer: '{unknown[0]}' given; {name} has {', '.join(network.taps)}")
    return network


def encoded(data: FaceDataset, encoder: Encoder, rows: np.ndarray[Any, Any], tap: str) -> np.ndarray[Any, Any]:
    """Features (N D float32) of ``rows`` with a progress bar; computed once, then read from the cache of DEST.

    FaceNet's embedding is a linear layer over ``pool``, which is in the cache as soon as anything was trained on it.
    """
    import numpy as np
    import torch
    from rich.console import Console
    from rich.progress import Progress

    from mien.datasets.features import features

    bottleneck = getattr(encoder.network, "bottleneck", None)
    if tap == "embedding" and isinstance(bottleneck, torch.nn.Linear):
        with torch.inference_mode():
            codes = bottleneck(torch.from_numpy(encoded(data, encoder, rows, "pool")))
            return np.asarray(torch.nn.functional.normalize(codes).numpy())
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{encoder.name} {tap}", total=len(rows))
        values = features(data, encoder, rows, tap=tap, progress=lambda done, of: bar.update(task, completed=done))
    return values.astype(np.float32)


def _verified(data: FaceDataset, encoder: Encoder, rows: Sequence[int], tap: str, pairs: Pairs) -> np.ndarray[Any, Any]:
    """Features (N D) of ``rows`` at ``tap``; those of faces in no pair are not computed and stay zero."""
    import numpy as np

    wanted = np.unique(np.concatenate([pairs.first, pairs.second]))
    values = encoded(data, encoder, np.array(rows, np.int64)[wanted], tap)
    found = np.zeros((len(rows), values.shape[1]), np.float32)
    found[wanted] = values
    return found


def _waiting(what: str) -> Any:
    """A turning wheel on stderr while something takes its time."""
    from rich.console import Console

    return Console(stderr=True).status(what)


def provenance(data: FaceDataset, model: str, n: int, seed: int | None = None, **details: str | int) -> Provenance:
    """What a report on faces of a dataset says of itself."""
    from mien.evaluation.report import Provenance

    return Provenance(model=model, dataset_fingerprint=data.fingerprint(), n=n, seed=seed, details=details)


def done(found: Report, out: Path) -> None:
    """Write a report and say where."""
    from mien.evaluation import report

    page = report.write(found, out)
    typer.echo(found.summary)
    typer.echo(page)
