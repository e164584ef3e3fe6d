"""Mixtures: the density (mien) or the custom Gaussian mixture (paper) that `mien imagine` draws from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.errors import DatasetError
from mien.core.progress import OnProgress, progress_bars
from mien.pipelines.train.request import Trained, TrainRequest, settings_of, use_threads
from mien.pipelines.train.settings import DensitySettings, MixtureSettings
from mien.pretrained.taps import INVERTED, check_tap

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mien.datasets.batches import FaceDataset, Rows
    from mien.datasets.catalog import CatalogRow
    from mien.faces.encoder import Encoder

PHOTOGRAPHS, LIGHT_DRAWN = 2048, 2400  # read for light and colour: photographs, and faces that are drawn
SGD_STEPS = 2000
BLOCK = 256
GROUPS = 16  # batches of equation 3


def fit_density_preset(request: TrainRequest) -> Trained:
    """Fit the density of preset mien; weights and report.json are written into RUN."""
    own = settings_of(request, DensitySettings)
    dataset, encoder = _opened(request, "facenet")
    seed = request.seed or 0
    return _reported(request, _mien(dataset, encoder, request.out, own.components, own.drawn, own.decoder, seed))


def fit_mixture_preset(request: TrainRequest) -> Trained:
    """Fit the paper's mixture; weights and report.json are written into RUN."""
    own = settings_of(request, MixtureSettings)
    check_tap(own.encoder, own.layer or INVERTED[own.encoder], "--set: layer")
    dataset, encoder = _opened(request, own.encoder)
    steps, seed = request.steps or SGD_STEPS, request.seed or 0
    return _reported(request, _paper(dataset, encoder, request.out, own, steps, seed))


def _opened(request: TrainRequest, encoder: str) -> tuple[FaceDataset, Encoder]:
    from mien.datasets.batches import FaceDataset
    from mien.faces.encoder import load_encoder

    use_threads(request)
    return FaceDataset.open(request.data), load_encoder(encoder)


def _reported(request: TrainRequest, report: dict[str, Any]) -> Trained:
    from mien.core.files import write_json

    write_json(request.out / "report.json", report)
    return Trained(request.out / "weights.safetensors")


def _mien(
    data: FaceDataset, encoder: Encoder, out: Path, components: int, drawn: int, decoder: Path | None, seed: int
) -> dict[str, Any]:
    import numpy as np

    from mien.datasets.features import features
    from mien.generators.imagine.mien import DecoderRenderer
    from mien.generators.imagine.weights import MODEL
    from mien.training.codes import person_weights
    from mien.training.imagine import ImagineConfig, export_density, fit_density

    rows = data.rows("train")
    config = ImagineConfig(components=components, seed=seed)
    with progress_bars() as bars:
        values = features(data, encoder, rows, on_progress=bars("features"))
        faces = [data.faces[int(row)] for row in rows]
        density = fit_density(values, faces, person_weights([face.person for face in faces]), config, bars("Gaussians"))
        renderer = DecoderRenderer.load(decoder)
        explained: dict[str, float] = {}
        if drawn:
            density, codes, scores = _seen(density, renderer, encoder, drawn, seed, bars)
            explained = _explained(codes, scores, density)
            density = with_light(density, renderer, data, seed, bars("light and colour"))
        held_out = data.rows("validation")
        nats = density.log_density(features(data, encoder, held_out, on_progress=bars("held-out features")))
    width = len(density.frame.mean)
    about = {
        "model": MODEL,
        "faces": len(rows),
        "decoder": renderer.version,
        "data": data.fingerprint(),
        "config": config.model_dump(mode="json"),
    }
    export_density(out / "weights.safetensors", density, about)
    return about | {
        "held_out_faces": len(held_out),
        "held_out_nats_per_dimension": float(np.mean(nats)) / width,
        "explained": explained,
    }


def _seen(density: Any, renderer: Any, encoder: Encoder, drawn: int, seed: int, bars: Any) -> tuple[Any, Any, Any]:
    """(the density that knows what its decoder shows, codes that were drawn, scores of their pictures).

    Two rounds: probes are asked along the moves that ``people`` makes, so they must have seen those, too.
    """
    import numpy as np

    from mien.faces.encoder import encoded
    from mien.training.people import with_people
    from mien.training.visible import drawn_and_seen, with_visible_probes

    def pooled(photos: Any) -> Any:
        return encoded(encoder, np.stack(photos), "pool", rows=len(photos), fast=True)

    now, codes, seen = density, np.zeros((0, len(density.frame.scale))), np.zeros((0, len(density.frame.mean)))
    for number, count in enumerate((drawn - drawn // 2, drawn // 2)):
        if not count:
            continue
        label = f"drawn and seen, {number + 1} of 2"
        more = drawn_and_seen(now, _photos(renderer), pooled, count, seed + number, bars(label))
        codes, seen = np.concatenate([codes, more[0]]), np.concatenate([seen, more[1]])
        scores = density.probes.scores(density.frame.codes(seen))
        now = with_people(with_visible_probes(density, codes, scores), codes, _embedded(encoder, seen))
    return now, codes, scores


def _photos(renderer: Any) -> Any:
    """(features, requests) -> the pictures, rounded as they are written."""
    from mien.core.images import to_photos

    return lambda features, requests: to_photos(renderer.draw(features, requests))


def with_light(density: Any, renderer: Any, data: FaceDataset, seed: int, on_progress: OnProgress | None = None) -> Any:
    """The density that keeps light and colour within those of photographs of the training split."""
    from mien.core.seeding import stream
    from mien.training.visible import with_nuisance

    rows = data.rows("train")
    rows = rows[stream(seed, "light").permutation(len(rows))[:PHOTOGRAPHS]]
    photographs = data.decoded(rows, renderer.size_px)
    return with_nuisance(density, _photos(renderer), photographs, LIGHT_DRAWN, seed, on_progress)


def _explained(codes: Any, seen: Any, density: Any) -> dict[str, float]:
    """For each attribute the share of the variance of its score in pictures that a regression on the code explains."""
    off = ((density.probes.scores(codes) - seen) ** 2).mean(0)
    return {name: round(float(1 - a / b), 3) for name, a, b in zip(density.probes.names, off, seen.var(0), strict=True)}


def _embedded(encoder: Encoder, pooled: Any) -> Any:
    """Pooled features N 1792 -> embeddings N 512."""
    import torch

    embed: Any = encoder.network.embed
    with torch.inference_mode():
        return embed(torch.from_numpy(pooled).float()).numpy()


def _paper(
    data: FaceDataset, encoder: Encoder, out: Path, own: MixtureSettings, steps: int, seed: int
) -> dict[str, Any]:
    import numpy as np
    import torch

    from mien.core.checkpoints import save_weights
    from mien.core.seeding import stream
    from mien.papers.deepface_2016.mixture import HIGH_RATE, ClassMixture, learn_weights, together
    from mien.papers.deepface_2016.mixture_weights import MODEL, to_tensors

    layer = own.layer or INVERTED[own.encoder]
    rows = np.array([k for k in data.rows("train") if data.faces[k].attributes_present], np.int64)
    if not len(rows):
        raise DatasetError(
            f"{data.dest}: no training face with attributes; the mixture is learned from a source like lfw"
        )
    if own.images is not None and own.images < len(rows):
        rows = np.sort(stream(seed, "images").choice(rows, own.images, replace=False))
    with progress_bars() as bars:
        gaussians, sums, shape = _summed(
            data, encoder, rows, layer, own.set_size, seed, bars(f"activations at {layer}")
        )
        bar = bars("weights")
        printed = learn_weights(sums, steps=steps, seed=seed, progress=lambda step, loss: bar(step, steps))
        learned = learn_weights(sums, steps=steps, seed=seed, first_rate=HIGH_RATE)
    whole = together(sums)
    closed = whole.ridge()
    about = {
        "model": MODEL,
        "version": f"{MODEL}-{layer}-{len(rows)}",
        "encoder": encoder.name,
        "data": data.fingerprint(),
        "set_size": own.set_size,
    }
    tensors, described = to_tensors(ClassMixture(gaussians, closed, layer, shape))
    tensors["mean_face"] = torch.from_numpy(_mean_face(data, rows))
    save_weights(out / "weights.safetensors", tensors, {**described, **about}, dtype=torch.float16)
    return about | {
        "images": whole.n,
        "learning_rate_printed": printed.rate,
        "learning_rate": learned.rate,
        "loss_at_1": whole.loss(np.ones(len(gaussians.names))),
        "loss_printed": whole.loss(printed.weights),
        "loss_descent": whole.loss(learned.weights),
        "loss_ridge": whole.loss(closed),
        "stored_error": stored_error(gaussians, tensors, described, own.set_size),
        "largest_difference_of_weights": float(np.abs(learned.weights - closed).max()),
        "weights": dict(zip(gaussians.names, closed.round(4).tolist(), strict=True)),
        "losses": list(learned.losses),
    }


def stored_error(gaussians: Any, tensors: Any, described: dict[str, Any], set_size: int) -> float:
    """The squared error of the means as they are stored, in shares of that of a mean of ``set_size`` photographs."""
    from mien.papers.deepface_2016.mixture_weights import from_tensors

    off = from_tensors(tensors, described, name="stored").gaussians.means - gaussians.means
    return float((off**2).mean() / (gaussians.variances.mean() / set_size))


def _summed(
    data: FaceDataset, encoder: Encoder, rows: Rows, layer: str, set_size: int, seed: int, on_progress: OnProgress
) -> tuple[Any, list[Any], tuple[int, ...]]:
    """One pass over the images: the Gaussian of each class, the sums that its weight is learned from, by batch, and
    the shape of the layer. ``DatasetError`` where no attribute is marked on enough photos.
    """
    from mien.attributes import NAMES
    from mien.attributes.vocabulary import WOMAN
    from mien.papers.deepface_2016.mixture import GaussianSums, ImageSums, choose_sets

    has = marks_of([data.faces[int(row)] for row in rows])
    sets = choose_sets(has, set_size, seed)
    if not sets:
        told = f"set_size={set_size} given; no attribute is marked on so many of {len(rows)} photos"
        raise DatasetError(f"--set: {told}")
    kept = list(sets)
    gaussian_sums: GaussianSums | None = None
    parts: list[ImageSums] = []
    shape: tuple[int, ...] = ()
    for places, values in activations(data, encoder, rows, layer):
        shape, flat = values.shape[1:], values.reshape(len(values), -1)
        if gaussian_sums is None:
            gaussian_sums = GaussianSums(sets, flat.shape[1])
        gaussian_sums.add(places, flat)
        # A layer of 57,344 numbers takes 33 MB a batch: there one batch is all, and the descent is not stochastic.
        if not parts or (flat.shape[1] <= 4096 and len(parts) < GROUPS):
            parts.append(ImageSums.empty(len(kept), flat.shape[1]))
        k = int(places[0] // BLOCK) % len(parts)
        parts[k] = parts[k].add(flat, has[places][:, kept])
        on_progress(int(places[-1]) + 1, len(rows))
    assert gaussian_sums is not None
    gaussians = gaussian_sums.gaussians((*NAMES, WOMAN))
    return gaussians, [part.weight_sums(gaussians.means) for part in parts if part.n], shape


def _mean_face(data: FaceDataset, rows: Rows) -> npt.NDArray[np.uint8]:
    """The "pixel-wise and channel-wise mean of all images" (section 3.3.1): 128 128 3."""
    import numpy as np

    pixels, total = data.pixels(128), np.zeros((128, 128, 3))
    for row in rows:
        total += pixels[row]
    return (total / len(rows) + 0.5).astype(np.uint8)


def marks_of(faces: Sequence[CatalogRow]) -> npt.NDArray[np.bool_]:
    """N 74: the attributes that each face has, and ``WOMAN``: the paper's F has Male only, so none could be asked for.

    A woman is whom the source says so of; a face without the mark Male is "female or unsure" in LFW.
    """
    import numpy as np

    from mien.attributes import NAMES
    from mien.attributes.vocabulary import WOMAN

    present = [{*face.attributes_present, *([WOMAN] if face.sex == "female" else [])} for face in faces]
    return np.array([[name in marked for name in (*NAMES, WOMAN)] for marked in present], bool)


def activations(data: FaceDataset, encoder: Encoder, rows: Rows, layer: str) -> Iterator[tuple[Any, Any]]:
    """(places in ``rows``, activations N ...) at a layer, block by block; those at ``pool`` are kept in the cache."""
    import numpy as np

    from mien.core.memory import keep_freed_memory
    from mien.datasets.features import features
    from mien.faces.encoder import encoded

    keep_freed_memory()
    for start in range(0, len(rows), BLOCK):
        places = np.arange(start, min(start + BLOCK, len(rows)))
        if layer == "pool":
            yield places, features(data, encoder, rows[places])
        else:
            yield places, encoded(encoder, data.pixels(128)[rows[places]], layer, fast=True)
