"""The paper's methods that optimise pictures, for ``evaluate imagine --slow``."""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mien.core.files import write_bytes
from mien.core.images import in_crop, to_photos, to_tensor
from mien.core.memory import keep_freed_memory
from mien.core.progress import OnStage, counted
from mien.core.records import UInt8Image
from mien.core.seeding import sample_generator
from mien.evaluation.imagine import MadeFaces
from mien.evaluation.imagine_sets import AttributeSet
from mien.faces import align, encoder
from mien.papers.deepface_2016.descent import Descent
from mien.papers.deepface_2016.picture import MARGIN, MIEN, DescentConfig
from mien.pipelines import imagine as samplers
from mien.pipelines import imagine_pictures
from mien.pipelines.evaluate_requests import SLOW_STEPS

WHOLE_CROP = (0.0, 0.0, 1.0)
KEPT = "pictures"  # a directory in that of the report


def slow_methods(
    chosen: Sequence[AttributeSet],
    own: UInt8Image,
    wanted: Collection[str],
    mixture: Path | None,
    steps: int | None,
    seed: int,
    kept: Path,
    on_stage: OnStage,
) -> list[MadeFaces]:
    """The ``wanted`` methods of the paper that optimise pictures, with its settings, and with ours, which are anchored.

    Picture k of description p is picture p * K + k of `mien imagine WORDS --method ... --seed`; ``own`` (P S S 3) are
    the photographs described, whose activations are inverted. What was made lies in the directory ``kept`` and is read
    from there by the same command. ``steps``: at most, of either; else ``SLOW_STEPS`` of ours, and the paper's own.
    """
    return [
        made
        for settings, added in (("paper", ""), ("mien", ", anchored"))
        for made in _with_settings(settings, added, chosen, own, wanted, mixture, steps, seed, kept, on_stage)
    ]


def _with_settings(
    settings: str,
    added: str,
    chosen: Sequence[AttributeSet],
    own: UInt8Image,
    wanted: Collection[str],
    mixture: Path | None,
    steps: int | None,
    seed: int,
    kept: Path,
    on_stage: OnStage,
) -> list[MadeFaces]:
    papers, mean_face, metadata = samplers.load_mixture(mixture)
    config = imagine_pictures.configuration(settings, steps or (SLOW_STEPS if settings == "mien" else None), {})
    heads = imagine_pictures.heads_of(settings, None)
    visualiser = imagine_pictures.Visualiser.load(heads, "facenet", mean_face, config)
    network = encoder.load_encoder(str(metadata.get("encoder", "facenet")))
    inverter, layer = imagine_pictures.Inverter(network, mean_face, config), papers.layer

    def classes(places: Sequence[int], draws: Sequence[Any]) -> Any:
        return visualiser.make([samplers.names_of(chosen[place].wanted, "visualisation") for place in places], draws)

    def photos(places: Sequence[int], draws: Sequence[Any]) -> Any:
        return inverter.own(layer, to_tensor(own[list(places)]), draws)

    def samples(places: Sequence[int], draws: Sequence[Any]) -> Any:
        names = [samplers.names_of(chosen[place // 2].wanted, "mixture") for place in places]
        pairs = zip(names, places, strict=True)
        aims = np.stack([papers.target(one, sample_generator(seed, place)) for one, place in pairs])
        return inverter.toward(layer, aims, draws)

    told = [(one.row.id, one.words) for one in chosen]
    ways = (
        (f"paper (cGMM, inverted{added})", "mixture", samples, 2, window_of(None), str(metadata["version"])),
        (f"paper (photo, inverted{added})", "invert", photos, 1, window_of(config), layer),
        (f"paper (visualise{added})", "visualise", classes, 1, WHOLE_CROP, visualiser.version),
    )
    found = []
    for name, method, make, each, frame, version in (way for way in ways if way[1] in wanted):
        key = json.dumps([method, each, own.shape[1], seed, config.model_dump(), version])

        def file(places: range, key: str = key, method: str = method, each: int = each) -> Path:
            asked = json.dumps([key, [told[place // each] for place in places]])
            return kept / f"{method}-{hashlib.sha256(asked.encode()).hexdigest()[:16]}.npz"

        found.append(_painted(name, method, make, len(chosen), each, frame, own.shape[1], seed, file, on_stage))
    return found


def window_of(config: DescentConfig | None) -> tuple[float, float, float]:
    """The square of a crop that inverted pictures show: (left, top, side); with a margin where there is jitter."""

    left, top, side = align.ENCODER_WINDOW
    grown = side * MARGIN if config is not None and config.jitter else 0.0
    return left - grown / 2, top - grown / 2, side + grown


def _painted(
    name: str,
    method: str,
    make: Callable[[Sequence[int], Sequence[Any]], Descent],
    count: int,
    samples: int,
    frame: tuple[float, float, float],
    size: int,
    seed: int,
    file: Callable[[range], Path],
    on_stage: OnStage,
) -> MadeFaces:
    """Pictures of a painter, many at once, in their place of the crop; those that lie in a file are not made again."""
    keep_freed_memory()
    total, at_once, seconds = count * samples, imagine_pictures.rows_at_once(MIEN), 0.0
    crops = np.empty((total, size, size, 3), np.uint8)
    with counted(on_stage(f"{name}: faces made"), total) as on_advance:
        for first in range(0, total, at_once):
            places = range(first, min(first + at_once, total))
            took = _read(file(places), crops[first : places.stop])
            if took is None:
                begun = time.monotonic()
                found = make(places, [imagine_pictures.draws_of(seed, method, place) for place in places])
                for place, photo in zip(places, to_photos(found.pictures), strict=True):
                    crops[place] = in_crop(photo, frame, size)
                took = time.monotonic() - begun
                _keep(file(places), crops[first : places.stop], took)
            seconds += took
            on_advance(len(places))
    return MadeFaces(name, tuple(range(count)), crops.reshape(count, samples, size, size, 3), seconds)


def _keep(path: Path, crops: UInt8Image, seconds: float) -> None:

    buffer = io.BytesIO()
    np.savez_compressed(buffer, crops=crops, seconds=seconds)
    write_bytes(path, buffer.getvalue())


def _read(path: Path, crops: UInt8Image) -> float | None:
    """Fill ``crops`` from a file; the seconds that they took, ``None`` where there is none or it is damaged."""

    try:
        with np.load(path) as archive:
            found, seconds = archive["crops"], float(archive["seconds"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if found.shape != crops.shape:
        return None
    crops[:] = found
    return seconds
