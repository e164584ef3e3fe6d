"""`mien imagine`: faces of people who do not exist, from words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mien.apps.cli.crowd import MANIFEST, forget_old, progress, refuse_to_overwrite
from mien.apps.cli.options import Credentials, Force, Unmarked

if TYPE_CHECKING:
    from mien.core.records import UInt8Image
    from mien.pipelines.imagine_ways import Way
    from mien.provenance.marks import Marks

SHEET_COLUMNS = 8
COUNT_LIMIT = 100_000
EXAMPLE = '"smiling, woman, brown hair"'

Method = Literal["mixture", "invert", "visualise"]
Render = Literal["decode", "invert"]


def imagine(
    text: Annotated[
        str, typer.Argument(metavar="WORDS", help=f"What the face is like: {EXAMPLE}, 'smiling:0.5', 'not mustache'.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", help="Directory of the faces: 00000.png ... and manifest.jsonl.")
    ] = None,
    count: Annotated[int, typer.Option("--count", help="How many different people who share the description.")] = 4,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Face k of a seed is always the same; drawn if not given.")
    ] = None,
    avoid: Annotated[str, typer.Option("--avoid", help="What the face is not like: 'mustache, hat'.")] = "",
    age: Annotated[str | None, typer.Option("--age", help="Years: one value (30) or a range (20-35).")] = None,
    typical: Annotated[
        bool, typer.Option("--typical", help="What is not mentioned stays average, instead of as in the data.")
    ] = False,
    like: Annotated[
        Path | None, typer.Option("--like", help="Begin with the person of this photo and change only what WORDS ask.")
    ] = None,
    preset: Annotated[
        Literal["mien", "paper"], typer.Option("--preset", help="mien: the best; paper: the mixture as printed.")
    ] = "mien",
    method: Annotated[
        Method, typer.Option("--method", help="mixture; invert (the activations of --photo); visualise (classes).")
    ] = "mixture",
    render: Annotated[
        Render, typer.Option("--render", help="decode: by the decoder; invert: by feature inversion (preset paper).")
    ] = "decode",
    photo: Annotated[
        Path | None, typer.Option("--photo", help="Method invert: the photo to invert, or to move toward WORDS.")
    ] = None,
    layer: Annotated[str | None, typer.Option("--layer", help="Method invert: a layer of the encoder.")] = None,
    encoder: Annotated[str, typer.Option("--encoder", help="Method invert: facenet or vgg-face.")] = "facenet",
    settings: Annotated[
        Literal["mien", "paper"],
        typer.Option("--settings", help="How pictures are optimised: mien, or paper (pixels, SGD, blur, jitter)."),
    ] = "mien",
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Steps of that optimisation.")] = None,
    descent: Annotated[
        str,
        typer.Option(
            "--descent",
            help="Of that optimisation, by name: 'optimiser=lbfgs, jitter=false, blur_every=4, variation_luma=3'.",
        ),
    ] = "",
    curves: Annotated[
        bool, typer.Option("--curves", help="Of that optimisation, the losses of each picture: curves.png.")
    ] = False,
    means: Annotated[
        bool, typer.Option("--means", help="Preset paper: the weighted means of the mixture, not samples of it.")
    ] = False,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Weights of `mien train mixture` instead of the packaged ones.")
    ] = None,
    decoder: Annotated[
        Path | None, typer.Option("--decoder", help="Weights of `mien train crowd` whose decoder draws the faces.")
    ] = None,
    heads: Annotated[
        Path | None, typer.Option("--heads", help="Method visualise: heads of `mien train attributes`.")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", help="Height and width, px: 256, or 128 (as drawn, before it is enlarged).")
    ] = None,
    sheet: Annotated[bool, typer.Option("--sheet", help="Also one picture of all faces: sheet.png.")] = False,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    credentials: Credentials = None,
    unmarked: Unmarked = False,
    force: Force = False,
    words: Annotated[bool, typer.Option("--words", help="List the words and stop.")] = False,
) -> None:
    """Make faces from words, and write them to OUT with a manifest."""
    from mien.core.errors import RequestError

    if words:
        from mien.apps.cli.attributes import attributes

        attributes()
        return
    if out is None:
        raise RequestError("--out: not given; a directory for the faces is wanted")
    if not 1 <= count <= COUNT_LIMIT:
        raise RequestError(f"--count: {count} given; allowed are 1 to {COUNT_LIMIT}")
    if seed is not None and not 0 <= seed < 2**63:
        raise RequestError(f"--seed: {seed} given; allowed are 0 to 2^63 - 1")
    wanted, ages = parse_words(text, avoid), parse_ages(age)
    if not wanted and ages is None and method != "invert" and like is None:
        raise RequestError(f"WORDS: none given; say what the face is like, for example {EXAMPLE} (see --words)")
    refuse_to_overwrite(out, force)

    from mien.core.seeding import fresh_seed
    from mien.pipelines.imagine_ways import Asked, is_optimised, way_of
    from mien.provenance.marks import Marks

    asked = Asked(
        preset=preset,
        method=method,
        render=render,
        wanted=wanted,
        ages_years=ages,
        typical=typical,
        like=like,
        seed=fresh_seed() if seed is None else seed,
        weights=weights,
        decoder=decoder,
        heads=heads,
        photo=photo,
        layer=layer,
        encoder=encoder,
        settings=settings,
        steps=steps,
        samples=not means,
        device=device,
        size_px=size,
        descent=parse_fields(descent),
    )
    marks = Marks.load(not unmarked, credentials)
    if curves and not is_optimised(asked):
        raise RequestError("--curves: nothing is optimised; allowed with --method visualise or invert, --render invert")
    way = way_of(asked)
    write_faces(out, way, asked.seed, count, wanted, marks, sheet)
    if curves:
        write_curves(out, way)
    typer.echo(str(out / "sheet.png") if sheet else f"{count} faces in {out} (seed {asked.seed})")


def write_faces(
    out: Path,
    way: Way,
    seed: int,
    count: int,
    wanted: Mapping[str, bool | float],
    marks: Marks,
    sheet: bool = False,
) -> None:
    """Make faces 0 to ``count`` - 1 of a seed and write them with their manifest, and a sheet if asked for."""
    from mien.core.files import write_jsonl
    from mien.core.images import sheet as lay_out

    about = {"model": way.model, "model_version": way.version, "attributes": dict(wanted), **way.about}
    rows: list[dict[str, Any]] = []
    tiles: list[UInt8Image] = []
    forget_old(out)
    try:
        with progress(f"{count} faces", count) as told:
            for first in range(0, count, way.chunk):
                made = way.make(first, min(way.chunk, count - first))
                rows += [
                    write_face(out, image, seed, first + k, about | _way_there(way, first + k), marks)
                    for k, image in enumerate(made)
                ]
                tiles += made if sheet else []
                told(len(made))
    finally:  # an interrupted run still says what lies there
        if rows:
            write_jsonl(out / MANIFEST, rows)
    if sheet:
        page = lay_out(tiles, min(SHEET_COLUMNS, len(tiles)))
        text = {"Comment": f"AI-generated by mien; seed {seed}"}
        marks.write_png(out / "sheet.png", page, text, model=way.model, model_version=way.version)


def write_face(
    out: Path, image: UInt8Image, seed: int, index: int, about: Mapping[str, Any], marks: Marks
) -> dict[str, Any]:
    """Write OUT/<index>.png, which says of itself what it is; returns its row of the manifest."""
    from mien.apps.pictures import marked_row, png_of
    from mien.core.files import write_bytes

    row = marked_row({"file": f"{index:05d}.png", "seed": seed, "index": index, **about}, marks)
    note = "the face of a photo, remade" if "photo" in about else "this person does not exist"
    write_bytes(out / row["file"], png_of(image, row, marks, f"AI-generated by mien: {note}"))
    return row


def _way_there(way: Way, index: int) -> dict[str, Any]:
    """What the manifest says of a picture that was optimised."""
    if index not in way.losses:
        return {}
    losses, rate = way.losses[index]
    return {
        "steps": len(losses),
        "loss_first": round(losses[0], 4),
        "loss_last": round(losses[-1], 4),
        "learning_rate": float(f"{rate:.3g}"),
    }


def write_curves(out: Path, way: Way) -> Path:
    """OUT/curves.png: the loss of each picture (the first five) by step."""
    from mien.core.images import write_png
    from mien.evaluation.plots import lines

    shown = {f"{index:05d}.png": losses for index, (losses, _) in sorted(way.losses.items())[:5]}
    write_png(out / "curves.png", lines(shown, x="step", y="loss"))
    return out / "curves.png"


def parse_fields(text: str) -> dict[str, str]:
    """'l2=0.1, jitter=false' -> name -> value, as written."""
    from mien.core.errors import RequestError

    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name or not value:
            raise RequestError(f"--descent: '{part}' given; wanted is name=value, for example l2=0.1")
        found[name] = value
    return found


def parse_words(text: str, avoid: str = "") -> dict[str, bool | float]:
    """Words wanted and words to avoid -> attribute -> True, False or how far; contradictions name both."""
    from mien.attributes import parse

    parse(text, option="WORDS")
    against = parse(avoid, option="--avoid")
    denied = [f"{name}:{round(1 - float(degree), 6):g}" for name, degree in against.items()]
    return parse(", ".join([text, *denied]), option="WORDS and --avoid" if denied else "WORDS")


def parse_ages(text: str | None) -> tuple[float, float] | None:
    """'30' or '20-35' -> (low, high) in years."""
    if text is None:
        return None
    from mien.apps.cli import crowd

    return crowd.parse_ages(text)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("imagine")(imagine)
