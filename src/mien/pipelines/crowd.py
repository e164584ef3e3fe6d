"""`crowd`: a request in, labelled faces of people who do not exist out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.errors import RequestError
from mien.core.files import write_jsonl
from mien.core.progress import OnProgress
from mien.core.seeding import fresh_seed
from mien.pipelines.faces_out import forget_old, write_face
from mien.pipelines.pictures import MANIFEST, face_row
from mien.pipelines.request import FacesRequest, check_paper

if TYPE_CHECKING:
    from mien.core.records import MadeFace
    from mien.generators.crowd.sampler import Crowd
    from mien.provenance.marks import Marks

PRESETS = ("painter", "mien", "paper")
SHEET_COLUMNS = 8
WRITERS = 2  # threads that write files while the next faces are made: waiting for the disk costs no time


LOOKS = ("studio", "natural", "news", "any")


def check_preset(preset: str, request: FacesRequest, device: str | None = None, look: str | None = None) -> None:
    """``RequestError`` for a preset that there is not, and for what the preset does not use."""
    if preset not in PRESETS:
        raise RequestError(f"preset: '{preset}' given; allowed: {', '.join(PRESETS)}")
    if preset == "paper":
        check_paper(request)
    if preset == "paper" and device is not None:
        raise RequestError("--device: the preset 'paper' runs on the cpu; allowed with --preset mien and painter")
    if look is not None and preset != "painter":
        raise RequestError(f"--look: the preset '{preset}' has one look; allowed with --preset painter")
    if look is not None and look not in LOOKS:
        raise RequestError(f"--look: '{look}' given; allowed: {', '.join(LOOKS)}")


def preset_of(preset: str | None, weights: object = None) -> str:
    """The preset that was asked for, or the painter; the decoder where weights of `mien train crowd` are given."""
    return preset or ("painter" if weights is None else "mien")


def load_crowd(
    preset: str | None = None, *, weights: str | None = None, device: str | None = None, look: str | None = None
) -> Crowd:
    """The crowd of a preset (``preset_of``), with ``weights`` of a run instead of the packaged ones.

    ``look``: what photographs of ``painter`` look like (``LOOKS``; None: studio).
    """
    from mien.core.checkpoints import WEIGHTS
    from mien.generators.crowd.sampler import Crowd

    preset = preset_of(preset, weights)
    check_preset(preset, FacesRequest(), device, look)
    if preset == "painter":
        from mien.generators.painter.crowd import PainterCrowd

        return Crowd(PainterCrowd.load(weights, look=look or "studio", device=device))
    path = weights or str(WEIGHTS / f"crowd-{preset}.safetensors")
    if preset == "paper":
        from mien.papers.cgan_sanche.networks import PaperCrowd

        return Crowd(PaperCrowd.load(path))
    from mien.generators.crowd.mien import MienCrowd

    return Crowd(MienCrowd.load(path, device=device))


def crowd(model: Crowd, request: FacesRequest) -> Iterator[list[MadeFace]]:
    """The faces of a request in order, a chunk at a time. Face k of a seed is the same whatever the count."""
    from mien.generators.crowd.sampler import CHUNK

    seed = fresh_seed() if request.seed is None else request.seed
    makes, labels = model.at(request.size_px), request.labels
    for start in range(0, request.count, CHUNK):
        yield makes.sample(
            min(CHUNK, request.count - start),
            sex=labels.sex or "any",
            age=request.description.ages_years,
            race=labels.race,
            attributes=labels.attributes,
            seed=seed,
            first=request.first + start,
        )


def crowds(model: Crowd, requests: Sequence[FacesRequest]) -> list[list[MadeFace]]:
    """The faces of many requests, each with its seed, in one go of the generator for each size."""
    from mien.core.limits import age_range
    from mien.generators.crowd.sampler import request_for

    pages: list[list[MadeFace]] = [[] for _ in requests]
    for size in {request.size_px for request in requests}:
        places = [place for place, request in enumerate(requests) if request.size_px == size]
        faces = [
            request_for(request.labels, age_range(request.description.ages_years), request.seed or 0, index)
            for request in (requests[place] for place in places)
            for index in range(request.first, request.first + request.count)
        ]
        made = iter(model.at(size).generator.make(faces))
        for place in places:
            pages[place] = list(islice(made, requests[place].count))
    return pages


def write_crowd(
    model: Crowd,
    request: FacesRequest,
    out: Path,
    marks: Marks,
    *,
    sheet: bool = False,
    on_progress: OnProgress | None = None,
) -> None:
    """Write the faces of a request into OUT with their manifest, and with one picture of them all if asked for.

    An interrupted run still says what lies there.
    """
    request = replace(request, seed=fresh_seed() if request.seed is None else request.seed)
    model = model.at(request.size_px)  # refuses the size before anything is removed
    forget_old(out)
    written: list[Future[dict[str, Any]]] = []
    tiles: list[MadeFace] = []
    before = 0
    try:
        with ThreadPoolExecutor(WRITERS) as pool:
            for made in crowd(model, request):
                for row in written[before:]:
                    row.result()  # a full disk ends the run here; and no more than two chunks are ever held
                before = len(written)
                written += [pool.submit(write_face, out, face.image, face_row(face), marks) for face in made]
                tiles += made if sheet else []
                if on_progress is not None:
                    on_progress(len(written), request.count)
        for row in written:
            row.result()
    finally:
        rows = [row.result() for row in written if row.done() and not row.exception()]
        if rows:
            write_jsonl(out / MANIFEST, rows)
    if sheet:
        from mien.pipelines.sheets import labelled_sheet

        page, about = labelled_sheet(tiles, SHEET_COLUMNS), {"Comment": f"AI-generated by mien; seed {request.seed}"}
        first = tiles[0]
        marks.write_png(out / "sheet.png", page, about, model=first.model, model_version=first.model_version)
