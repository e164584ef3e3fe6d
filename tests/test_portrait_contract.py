"""Every preset of portraits keeps one contract (``generators/portrait/contract``): here, at tiny sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mien.core.errors import RequestError
from mien.faces.readers import FaceReaders
from mien.generators.decoder import Decoder, DecoderConfig
from mien.generators.portrait.contract import PortraitDrawer
from mien.generators.portrait.mien import MienPortrait
from mien.generators.portrait.neutral import NeutralConfig, Neutraliser
from mien.generators.portrait.settings import RefineConfig
from mien.papers.frontal_wang_2019.networks import FrontalConfig, PaperPortrait, PortraitDecoder
from mien.pipelines.portrait import SETTINGS, PortraitRequest

FEATURES = 6


class TinyNetwork(nn.Module):
    """Embeds pooled features by their direction."""

    def embed(self, pooled: Tensor) -> Tensor:
        return nn.functional.normalize(pooled[:, :3])


class TinyEncoder:
    """Reads the colours of the two halves of a picture."""

    name, input_size, taps = "tiny", 16, ("pool", "embedding")

    def __init__(self) -> None:
        self.network = TinyNetwork()

    def __call__(self, images: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        pooled = nn.functional.adaptive_avg_pool2d(images, (1, 2)).flatten(1)
        found = {"pool": pooled, "embedding": self.network.embed(pooled)}
        return {tap: found[tap] for tap in taps}


def mien_drawer() -> PortraitDrawer:
    torch.manual_seed(0)
    decoder = Decoder(DecoderConfig(features=FEATURES, style=2, trunk=8, code=8, channels=(8, 8, 8, 8), rgb_from_px=8))
    return MienPortrait(
        decoder, Neutraliser(NeutralConfig(features=FEATURES, style=2)), "1", refine=RefineConfig(steps=0)
    )


def paper_drawer() -> PortraitDrawer:
    torch.manual_seed(0)
    config = FrontalConfig(features=FEATURES, first_px=2, channels=(12, 8, 6, 4, 3))
    return PaperPortrait(PortraitDecoder(config), "1")


DRAWERS = {"mien": mien_drawer, "paper": paper_drawer}


@pytest.mark.parametrize("preset", SETTINGS)
def test_every_preset_keeps_the_contract(preset: str) -> None:
    drawer, readers = DRAWERS[preset](), FaceReaders(TinyEncoder(), None)  # type: ignore[arg-type]
    crop = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    features, embedding = drawer.encode(crop, readers)
    assert features.shape == (1, FEATURES)
    assert embedding.shape == (1, 3)
    assert drawer.name == f"portrait-{preset}"
    assert drawer.version_at(None) == drawer.version_at(drawer.size_px)
    for size_px in (None, drawer.size_px):
        image, mask = drawer.render(features, readers, size_px)
        assert image.shape == (1, 3, drawer.size_px, drawer.size_px)
        assert mask.shape == (1, 1, drawer.size_px, drawer.size_px)
        assert image.dtype == mask.dtype == torch.float32
        assert -1 <= float(image.min()) <= float(image.max()) <= 1
        assert 0 <= float(mask.min()) <= float(mask.max()) <= 1
    again, same = drawer.render(features, readers, None)
    assert torch.equal(again, image)  # one photo, one portrait
    assert torch.equal(same, mask)
    both, masks = drawer.render(torch.cat([features, features + 1]), readers, None)
    assert torch.allclose(both[:1], image, atol=1e-5)
    assert not torch.allclose(both[1:], image, atol=1e-5)
    assert masks.shape == (2, 1, drawer.size_px, drawer.size_px)
    plain = drawer.as_read(crop, readers)
    assert plain is None or plain.shape == image.shape


@pytest.mark.parametrize("preset", SETTINGS)
def test_a_setting_that_a_preset_does_not_have_is_refused(preset: str) -> None:
    with pytest.raises(RequestError, match=f"--set glow: preset '{preset}' of portrait"):
        PortraitRequest(("a.jpg",), preset, "w", settings={"glow": 1})


def test_parts_of_the_pipeline_say_what_they_take() -> None:
    from mien.core.images import to_tensor
    from mien.pipelines.portrait_model import PortraitPipeline

    pipeline = PortraitPipeline.__new__(PortraitPipeline)  # what is wrong is told before a network is asked
    grey = np.zeros((8, 8, 3), np.uint8)
    wrong: list[tuple[Any, str]] = [
        (lambda: pipeline.portraits("photo.jpg"), "faces: str given; wanted: what `read` gives"),  # type: ignore[arg-type]
        (lambda: pipeline.portraits([3]), "faces: int given; wanted: what `read` gives"),  # type: ignore[list-item]
        (lambda: pipeline.portrait(grey, None), "face: NoneType given; wanted: one of `faces`"),  # type: ignore[arg-type]
        (lambda: pipeline.faces(None), "photo: NoneType given; wanted: a path"),  # type: ignore[arg-type]
        (lambda: to_tensor("photo.jpg"), "photos: str given; wanted: an array"),  # type: ignore[arg-type]
    ]
    for ask, said in wrong:
        with pytest.raises(RequestError) as told:
            ask()
        assert str(told.value).startswith(said)
    assert pipeline.of_crops([]) == []
