"""`mien evaluate imagine`: faces from the descriptions of held-out people, by every method, judged side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mien.evaluation.features import Judges, Track
    from mien.evaluation.imagine import MadeFaces, RealFaces
    from mien.evaluation.imagine_sets import AttributeSet
    from mien.generators.imagine.mien import Imagine
    from mien.generators.imagine.mixture import ClassMixture

SLOW_SAMPLES = 2  # faces a description, by the methods that optimise pictures
WHOLE_CROP = (0.0, 0.0, 1.0)


def imagine(
    data: Annotated[Path, typer.Option(help="A dataset that `mien data prepare` made.", metavar="DEST")],
    out: Annotated[Path, typer.Option(help="Where the report goes.", metavar="REPORT_DIR")],
    sets: Annotated[int, typer.Option(help="How many descriptions, each of another held-out person.", min=200)] = 300,
    samples: Annotated[int, typer.Option(help="How many faces for each description.", min=2, max=64)] = 4,
    slow: Annotated[
        int,
        typer.Option(
            help="Of how many descriptions visualise and the inverted mixture make 2 faces each, slowly.",
            min=0,
        ),
    ] = 0,
    weights: Annotated[Path | None, typer.Option(help="Weights of `mien train mixture`.")] = None,
    decoder: Annotated[Path | None, typer.Option(help="Weights of `mien train crowd` whose decoder draws.")] = None,
    mixture: Annotated[
        Path | None, typer.Option(help="Weights of `mien train mixture --preset paper` for the inverted mixture.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of descriptions and faces.", min=0)] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="40 descriptions: a look, not a figure to print.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a report that is there.")] = False,
) -> None:
    """Judge faces made from words: attributes, detection, variety, distance from the mean, memorisation."""
    import sys
    from datetime import UTC, datetime

    import mien
    from mien.apps.cli.evaluate import tracking
    from mien.apps.cli.imagine_ways import load_mixture
    from mien.evaluation import report
    from mien.evaluation.features import NetworkJudges
    from mien.evaluation.imagine import judge_imagine
    from mien.generators.imagine.mien import Imagine

    report.check_directory(out, force=force)
    makes = Imagine.load(weights, decoder=decoder)
    papers, _, papers_about = load_mixture(None)
    judges = NetworkJudges.load()
    with tracking() as track:
        count, size, known = 40 if quick else sets, makes.renderer.size_px, papers.gaussians.names
        chosen, real, about = _real(data, count, size, known, judges, seed, quick, track)
        methods = [_mien(makes, chosen, samples, seed, track), _paper(makes, papers, chosen, samples, seed, track)]
        if slow:
            methods += _slow(chosen[:slow], size, mixture, seed, track)
        provenance = {
            "mien": mien.__version__,
            "generator": f"{makes.version}; the paper's mixture: {papers_about.get('version')}",
            "seed": seed,
            "descriptions": len(chosen),
            "faces_each": samples,
            **about,
            "judges": judges.version,
            "command": " ".join(["mien", *sys.argv[1:]]),
            "quick": "yes: too few faces to quote" if quick else "no",
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        }
        title = "Faces from words, judged"
        found = judge_imagine(methods, chosen, real, judges, title=title, provenance=provenance, track=track)
    page = report.write(found, out)
    typer.echo(found.summary)
    typer.echo(page)


def _real(
    data: Path, count: int, size: int, words: Sequence[str], judges: Judges, seed: int, quick: bool, track: Track
) -> tuple[list[AttributeSet], RealFaces, dict[str, str | int]]:
    """Descriptions of people of the test split, their photographs, others of the validation split, and training."""
    from mien.errors import DatasetError
    from mien.evaluation import faces
    from mien.evaluation.features import stored_identity
    from mien.evaluation.imagine import LEAST_SETS, RealFaces
    from mien.evaluation.imagine_sets import choose_sets
    from mien.faces import store
    from mien.faces.attributes import NAMES

    chosen = choose_sets(faces.dataset_rows(data, "test"), count, seed=seed, known=words)
    others = choose_sets(faces.dataset_rows(data, "validation"), len(chosen), seed=seed)
    for split, found in (("test", chosen), ("validation", others)):
        if len(found) < LEAST_SETS:
            raise DatasetError(
                f"{data}: {len(found)} people with attributes in the split '{split}', needed are {LEAST_SETS} or more"
            )
    training = faces.dataset_rows(data, "train")  # in the order of the catalogue: one cache for every seed
    training = faces.shuffled(training, 1000) if quick else training
    with track("real faces", len(chosen) + len(others)) as advance:
        own, other = (
            faces.read_faces(data, [one.row for one in part], size, progress=advance) for part in (chosen, others)
        )
    known = stored_identity(data, training, size, judges, store.cache_dir(), track=track)
    everyone = [*(one.row for one in (*chosen, *others)), *training]
    about: dict[str, str | int] = {
        "words_left_out": ", ".join(name for name in NAMES if name not in words),
        "training_faces": len(training),
        "dataset_fingerprint": faces.fingerprint(everyone, size),
        "crop_px": size,
    }
    return chosen, RealFaces(own, other, known), about


def _mien(makes: Imagine, chosen: Sequence[AttributeSet], samples: int, seed: int, track: Track) -> MadeFaces:
    """The density of mien. Face k of description p is face p * samples + k of `mien imagine WORDS --seed`."""
    from mien.generators.contract import FaceRequest
    from mien.generators.imagine.density import Wish

    def features(place: int) -> Any:
        requests = [FaceRequest(seed, place * samples + k) for k in range(samples)]
        return makes.features(Wish(chosen[place].wanted), requests)

    return _decoded("mien", makes, features, len(chosen), samples, seed, track)


def _paper(
    makes: Imagine, mixture: ClassMixture, chosen: Sequence[AttributeSet], samples: int, seed: int, track: Track
) -> MadeFaces:
    """The paper's mixture, weighted samples of it, drawn by the same decoder."""
    import numpy as np

    from mien.apps.cli.imagine_ways import names_of
    from mien.seeding import sample_generator

    def features(place: int) -> Any:
        names = names_of(chosen[place].wanted, "mixture")
        draws = [sample_generator(seed, place * samples + k) for k in range(samples)]
        return np.stack([mixture.target(names, one) for one in draws])

    return _decoded("paper (cGMM, decoded)", makes, features, len(chosen), samples, seed, track)


def _decoded(name: str, makes: Imagine, features: Any, count: int, samples: int, seed: int, track: Track) -> MadeFaces:
    """``features(place)`` (K F) of each description, drawn by the decoder."""
    import numpy as np

    from mien.evaluation.imagine import MadeFaces
    from mien.generators.contract import FaceRequest

    size = makes.renderer.size_px
    crops = np.empty((count, samples, size, size, 3), np.uint8)
    with track(f"{name}: faces made", count * samples) as advance:
        for first in range(0, count, 16):
            places = range(first, min(first + 16, count))
            rows = np.concatenate([features(place) for place in places])
            requests = [FaceRequest(seed, place * samples + k) for place in places for k in range(samples)]
            drawn = np.stack(makes.renderer.draw(rows, requests))
            crops[first : places.stop] = drawn.reshape(len(places), samples, size, size, 3)
            advance(len(requests))
    return MadeFaces(name, tuple(range(count)), crops)


def _slow(chosen: Sequence[AttributeSet], size: int, mixture: Path | None, seed: int, track: Track) -> list[MadeFaces]:
    """Class visualisation and the inverted mixture of the paper, with the settings of mien."""
    import numpy as np

    from mien.apps.cli.imagine_ways import Asked, way_of
    from mien.evaluation.imagine import MadeFaces
    from mien.faces import align
    from mien.images import in_crop

    side = align.EYE_DISTANCE / align.ENCODER_EYE_DISTANCE
    window = (align.EYE_X - side / 2, align.EYE_Y - align.ENCODER_EYE_Y * side, side)  # what inverted pictures show
    found = []
    for name, method, weights, frame in (
        ("paper (visualise)", "visualise", None, WHOLE_CROP),
        ("paper (cGMM, inverted)", "mixture", mixture, window),
    ):
        crops = np.empty((len(chosen), SLOW_SAMPLES, size, size, 3), np.uint8)
        with track(f"{name}: faces made", len(chosen) * SLOW_SAMPLES) as advance:
            for place, one in enumerate(chosen):
                asked = Asked(
                    preset="paper", method=method, render="invert", wanted=one.wanted, ages_years=None, typical=False,
                    like=None, seed=seed, weights=weights, decoder=None, heads=None, photo=None, layer=None,
                    encoder="facenet", settings="mien", steps=None, samples=True, device="cpu",
                )  # fmt: skip
                way = way_of(asked)
                for k in range(SLOW_SAMPLES):
                    image = way.make(place * SLOW_SAMPLES + k, 1)[0]
                    crops[place, k] = in_crop(image, frame, size)
                    advance(1)
        found.append(MadeFaces(name, tuple(range(len(chosen))), crops))
    return found


def register(evaluate: typer.Typer) -> None:
    """Add the command to `mien evaluate`."""
    evaluate.command("imagine")(imagine)
