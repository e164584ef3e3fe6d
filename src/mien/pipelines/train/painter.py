"""The painter, and the density over its codes: from a prepared dataset to the two weights files that draw by it.

Codes are principal coefficients of FaceNet's pooled features; conditions are measured on the photographs and read from
the codes by the packaged density; ages that no label tells are read by the packaged heads (linear scores pull them to
the middle); looks (studio, natural, news) are linear scores of the codes, and scenes that photographs lend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.progress import progress_bars
from mien.pipelines.train.begun import Begun, begun_with
from mien.pipelines.train.prepared import Prepared, fingerprint, tokens_of
from mien.pipelines.train.request import Trained, TrainRequest, finished, loop_settings, settings_of, use_threads
from mien.pipelines.train.settings import PainterSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mien.core.progress import OnStage
    from mien.datasets.batches import FaceDataset, Rows
    from mien.generators.imagine.density import FaceDensity, Frame
    from mien.generators.painter.basis import PatchBasis
    from mien.training.painter import PaintedSet

SIZE_PX = 128
BASIS_FACES = 8000
HELD_OUT = 512
READ = (
    "Smiling", "Mouth Closed", "Eyeglasses", "Sunglasses", "Wearing Hat", "Black Hair", "Blond Hair", "Brown Hair",
    "Gray Hair", "Bald", "Bangs", "No Beard", "Mustache", "Curly Hair", "Male", "Asian", "Black", "White",
    "Wearing Lipstick",
)  # fmt: skip
STRICTNESS = 1.6  # of words: the painter draws less of a score than the decoder does
JUDGED = {"perceptual": 0.2, "average_half_life_kimg": 3.0, "fall_from": 0.5}  # where a critic judges
STUDIO = 3.0  # by how much more a studio's photograph weighs in the density


def train_painter_preset(request: TrainRequest) -> Trained:
    """Train in RUN; ``painter.safetensors`` and ``density.safetensors`` are written there.

    The data are a dataset, or a folder of ``packed``, which ``--set pack=MIB`` writes.
    """
    from mien.faces.encoder import load_encoder
    from mien.pipelines.train.packed import is_packed, read_packed
    from mien.pipelines.train.unrest import add_unrest
    from mien.training.painter import PainterTrainingConfig, held_out_cost, train_painter
    from mien.training.painter_adversarial import train_painter_adversarially

    own, out = settings_of(request, PainterSettings), request.out
    settings = loop_settings(request, steps=40_000, batch_size=64, channels_last=False, checkpoint_minutes=10.0)
    use_threads(request)
    other = None if request.start_from is None else begun_with(request.start_from)
    if is_packed(request.data):
        prepared, begun = read_packed(request.data, out)
        begun = other or begun
    else:
        prepared, begun = _from_dataset(request, own, other)
        if own.pack is not None:
            return _pack(request, prepared, begun, own.pack)
    config = PainterTrainingConfig(painter=begun.config, data=fingerprint(prepared), images_before=begun.images)
    batch_at = prepared.seen.batch_at(settings.batch_size, settings.seed)
    hooks = (held_out_cost(prepared.held_out, config, settings.preview_every),) if len(prepared.held_out) else ()
    resume = bool(request.resume)
    if own.critic:
        config = config.model_copy(update={"critic": own.critic, **JUDGED})
        encoder = load_encoder("facenet").network
        outcome = train_painter_adversarially(
            batch_at, encoder, begun.basis, out, config, settings, begun.network, hooks=hooks, resume=resume
        )
    else:
        outcome = train_painter(batch_at, out, config, settings, hooks=hooks, initial=begun.network, resume=resume)
    prepared.export(out, outcome.shown["painter"].state_dict(), config.painter, outcome.images + begun.images)
    weights, remarks = out / "painter.safetensors", finished(outcome, out).remarks
    if not own.restless:
        return Trained(weights, remarks)
    with progress_bars() as bars:
        share = add_unrest(weights, out / "density.safetensors", own.restless, settings.seed, bars)
    return Trained(weights, (*remarks, f"caricatures: {share:.0%} of how restless a picture is are predicted"))


def _from_dataset(request: TrainRequest, own: PainterSettings, other: Begun | None) -> tuple[Prepared, Begun]:
    """What is learned from, and the network to begin with: a new one, or another one's."""
    from mien.core.errors import DatasetError
    from mien.datasets.batches import FaceDataset
    from mien.generators.painter.network import PainterConfig

    data = FaceDataset.open(request.data)
    rows, unseen = data.rows("train"), data.rows("validation")[:HELD_OUT]
    if len(rows) <= own.code:
        raise DatasetError(f"{request.data}: {len(rows)} training faces; more than {own.code} are wanted (--set code=)")
    with progress_bars() as bars:
        prepared = prepare(data, rows, unseen, request.out, own, bars, other)
    sizes = PainterConfig(
        channels=own.channels, code=own.code, conditions=len(prepared.scale), sources=len(prepared.sources),
        width=own.width, depth=own.depth, heads=own.heads, hidden=round(2.5 * own.width),
    )  # fmt: skip
    return prepared, other or prepared.new(sizes, request.seed or 0)


def _pack(request: TrainRequest, prepared: Prepared, begun: Begun, most_mib: float) -> Trained:
    """Write RUN/packed and train nothing."""
    import numpy as np

    from mien.datasets.batches import FaceDataset
    from mien.pipelines.train.packed import write_packed

    data, folder = FaceDataset.open(request.data), request.out / "packed"
    both = np.concatenate([data.rows("train"), data.rows("validation")[:HELD_OUT]])
    crops = np.ascontiguousarray(data.pixels(SIZE_PX)[both])
    count = write_packed(prepared, crops, folder, begun, most_mib)
    size = sum(path.stat().st_size for path in folder.iterdir()) / (1 << 20)
    whole = len(prepared.seen)
    said = f"{folder}: {count} of {whole} training faces, {size:.1f} MiB; mien train painter --data {folder} --out RUN"
    return Trained(None, (said,))


def prepare(
    data: FaceDataset, rows: Rows, unseen: Rows, out: Path, own: PainterSettings, on_stage: OnStage,
    begun: Begun | None = None,
) -> Prepared:  # fmt: skip
    """Features, codes, tokens and conditions of a dataset; the tokens are kept in RUN, in half precision.

    ``begun``: a painter that is trained further, whose codes, tokens, conditions and sources keep their meaning.
    """
    import numpy as np

    from mien.attributes.person import packaged_person_reader
    from mien.datasets import painted
    from mien.datasets.features import features
    from mien.faces.encoder import load_encoder
    from mien.generators.painter.scenes import MOST, fit_scenes
    from mien.training.imagine import fit_frame
    from mien.training.painter import PaintedSet

    encoder, both = load_encoder("facenet"), np.concatenate([rows, unseen])
    pixels = data.pixels(SIZE_PX, on_stage("crops"))
    values = features(data, encoder, both, on_progress=on_stage("features"))
    weights = painted.source_weights(data, rows)
    if begun is None:
        frame = fit_frame(values[: len(rows)], (weights * len(rows)).astype(np.float32), own.code)
    else:
        frame = begun.frame
    codes = frame.codes(values)
    names = [data.faces[int(row)].source for row in both]
    sources = tuple(sorted(set(names))) if begun is None else begun.sources_of(names)
    crops = np.ascontiguousarray(pixels[both])
    columns = painted.photo_conditions(data, both, crops)
    photographed = tuple(columns)
    valid = painted.valid_patches(data, both)
    columns["valid"] = valid.mean(1)
    columns |= _read(values, data, both)
    read = packaged_person_reader().read(values)[0]
    ages = np.where(np.isnan(data.ages_years[both]), read, data.ages_years[both]).astype(np.float32)
    columns["age"] = (ages / 100).astype(np.float32)
    conditions, scale = painted.standardised(columns, None if begun is None else begun.scale)
    basis = _fitted_basis(crops[: len(rows)], own.channels) if begun is None else begun.basis
    tokens = tokens_of(basis, crops, out)
    shown = weights * painted.emphasis({name: values[: len(rows)] for name, values in columns.items()})
    places = np.array([sources.index(name) for name in names], np.int64)

    def part(chosen: slice, share: npt.NDArray[np.float64] | None) -> PaintedSet:
        known = codes[chosen].astype(np.float16)
        return PaintedSet(tokens[chosen], known, conditions[chosen], valid[chosen], places[chosen], share)

    pairs = zip((data.faces[int(row)] for row in rows), ages, strict=False)
    faces = [replace(face, age_years=float(age)) for face, age in pairs]
    known = codes[: len(rows)]
    looks = {look: has[: len(rows)] for look, has in painted.masks_of_looks(columns).items()}
    density = _density_of(frame, known, faces, weights, looks, own, on_stage)
    of_scene = {name: conditions[: len(rows), k] for k, name in enumerate(scale) if name in photographed}
    lenders = {look: np.flatnonzero(has)[:MOST].tolist() for look, has in looks.items()}
    scenes = fit_scenes(known.astype(np.float32), of_scene, ages, places.tolist(), lenders)
    begin, rest = slice(0, len(rows)), slice(len(rows), None)
    return Prepared(part(begin, shown), part(rest, None), scale, sources, basis, density, scenes)


def _density_of(
    frame: Frame, codes: npt.NDArray[Any], faces: Any, weights: npt.NDArray[np.float64],
    looks: Mapping[str, npt.NDArray[np.bool_]], own: PainterSettings, on_stage: OnStage,
) -> FaceDensity:  # fmt: skip
    """The density over codes (N K) of ``faces``; what is asked for most is to be known best."""
    import numpy as np

    from mien.generators.imagine.density import FaceDensity
    from mien.training.imagine import ImagineConfig, fit_components, fit_probes
    from mien.training.looks import with_looks

    config = ImagineConfig(axes=own.code, components=own.components, rounds=12)
    wide = weights * (1 + STUDIO * looks["studio"])
    shares = (wide * len(codes) / wide.sum()).astype(np.float32)
    components = fit_components(codes, shares, config, on_stage("Gaussians"))
    return with_looks(FaceDensity(frame, components, fit_probes(codes, faces, config), STRICTNESS), codes, looks)


def _read(values: npt.NDArray[Any], data: FaceDataset, rows: Rows) -> dict[str, npt.NDArray[np.float32]]:
    """How far attributes are there (0 to 1) by the packaged density's scores; sex as labelled where known."""
    import numpy as np

    from mien.generators.imagine.mien import Imagine

    density = Imagine.load(enlarged=False).density
    scores, probes = density.probes.scores(density.frame.codes(values)), density.probes
    found = {}
    for name in READ:
        k = probes.index(name)
        found[name] = ((scores[:, k] - probes.absent[k]) / (probes.present[k] - probes.absent[k])).astype(np.float32)
    male = 1 - data.female[rows]
    found["Male"] = np.where(np.isnan(male), found["Male"], male)
    return found


def _fitted_basis(crops: npt.NDArray[np.uint8], channels: int) -> PatchBasis:
    """The basis of patches, fitted on some of the crops (N S S 3)."""
    import numpy as np

    from mien.core.images import to_tensor
    from mien.generators.painter.basis import PatchBasis

    basis = PatchBasis(SIZE_PX, channels=channels)
    basis.fit(to_tensor(np.ascontiguousarray(crops[:: max(1, len(crops) // BASIS_FACES)])))
    return basis
