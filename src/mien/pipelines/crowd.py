"""`crowd`: the presets that make labelled faces of people who do not exist, checked and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from mien.core.errors import RequestError
from mien.pipelines.request import FacesRequest, check_paper

if TYPE_CHECKING:
    from mien.core.records import MadeFace
    from mien.generators.crowd.sampler import Crowd

PRESETS = ("painter", "mien", "paper")
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


def crowds(model: Crowd, requests: Sequence[FacesRequest]) -> list[list[MadeFace]]:
    """The faces of many requests, each with its seed, in one go of the generator for each size and look."""
    from mien.core.contract import make
    from mien.core.limits import age_range
    from mien.generators.crowd.sampler import request_for

    pages: list[list[MadeFace]] = [[] for _ in requests]
    for size, look in {(request.size_px, request.look) for request in requests}:
        places = [place for place, request in enumerate(requests) if (request.size_px, request.look) == (size, look)]
        faces = [
            request_for(request.labels, age_range(request.description.ages_years), request.seed or 0, index)
            for request in (requests[place] for place in places)
            for index in range(request.first, request.first + request.count)
        ]
        made = iter(make(model.at(size).looking(look).generator, faces))
        for place in places:
            pages[place] = list(islice(made, requests[place].count))
    return pages
