"""The enlarger: bicubic before it has learned, the same alone and among others; and who enlarges what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from crowd_tiny import tiny_crowd, write_tiny_weights
from hypothesis import given, settings
from hypothesis import strategies as st
from imagine_tiny import write_tiny_density
from test_generators_paper import small_paper_crowd

from mien.core.checkpoints import WEIGHTS, save_weights
from mien.core.contract import Generator, make, requests_for
from mien.core.errors import RequestError, WeightsError
from mien.core.images import to_photos, to_tensor
from mien.core.records import Labels
from mien.core.seeding import stream
from mien.generators.crowd.sampler import Crowd
from mien.generators.enlarger import MODEL, Enlarger, EnlargerConfig, EnlargerNetwork, bicubic
from mien.generators.imagine.mien import Imagine

TINY = EnlargerConfig(channels=8, blocks=1, deep_channels=8, deep_blocks=1)


def network(trained: bool = True) -> EnlargerNetwork:
    torch.manual_seed(0)
    made = EnlargerNetwork(TINY)
    if trained:
        torch.nn.init.normal_(made.out.weight, std=0.3)
    return made


def pictures(count: int = 3, size: int = 16) -> torch.Tensor:
    return to_tensor(stream(0, "photos").integers(0, 256, (count, size, size, 3)).astype(np.uint8))


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 9).map(lambda n: 2 * n), st.integers(1, 9).map(lambda n: 2 * n))
def test_twice_the_size_and_bicubic_before_it_has_learned(height: int, width: int) -> None:
    small = to_tensor(stream(1, "photos").integers(0, 256, (1, height, width, 3)).astype(np.uint8))
    made = Enlarger(network(trained=False), "0").enlarge(small)
    assert made.shape == (1, 3, 2 * height, 2 * width)
    assert (made - bicubic(small)).abs().max() < 1e-5


def test_bicubic_keeps_places_and_greys() -> None:
    flat = np.full((1, 8, 8, 3), 77, np.uint8)
    assert (to_photos(bicubic(to_tensor(flat))) == 77).all()
    ramp = torch.arange(16.0).expand(1, 3, 16, 16) / 16
    halved = torch.nn.functional.avg_pool2d(bicubic(ramp), 2)
    assert (halved - ramp)[..., 4:-4].abs().max() < 1e-5  # nothing is shifted


def test_a_picture_is_the_same_alone_and_among_others() -> None:
    enlarger = Enlarger(network(), "1")
    small = pictures(3)
    together = enlarger.enlarge(small)
    assert (together != Enlarger(network(trained=False), "0").enlarge(small)).any()  # it does something
    assert (enlarger.enlarge(small) == together).all()
    assert (enlarger.enlarge(small[1:2])[0] == together[1]).all()
    assert enlarger.enlarge(small[:0]).shape == (0, 3, 32, 32)


@pytest.mark.parametrize("shape", [(1, 3, 15, 16), (3, 16, 16)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(RequestError, match="the enlarger wants N 3 H W with even H and W"):
        Enlarger(network(), "1").enlarge(torch.zeros(shape))


def test_weights_come_back(tmp_path: Path) -> None:
    path, about = tmp_path / "w.safetensors", {"model": MODEL, "version": "enlarger-7k"}
    made = network()
    save_weights(path, made.state_dict(), about | {"config": TINY.model_dump(mode="json")})
    loaded = Enlarger.load(path)
    assert loaded.version == "enlarger-7k"
    assert (loaded.enlarge(pictures()) == Enlarger(made, "").enlarge(pictures())).all()
    save_weights(path, made.state_dict(), about)
    with pytest.raises(WeightsError, match="no 'config'"):
        Enlarger.load(path)


def test_the_packaged_enlarger_is_small() -> None:
    assert (WEIGHTS / f"{MODEL}.safetensors").stat().st_size < 1.5e6
    assert Enlarger.load().enlarge(torch.zeros(1, 3, 128, 128)).shape == (1, 3, 256, 256)


def test_a_crowd_has_two_sizes_and_the_small_one_stays_as_it_is() -> None:
    crowd = Crowd(tiny_crowd())
    small, again = crowd.sample(3, seed=1), crowd.at(None).sample(3, seed=1)
    large = crowd.at(64).sample(3, seed=1)
    back = crowd.at(64).at(32).sample(3, seed=1)
    for one, same, other, twice in zip(small, again, back, large, strict=True):
        assert (one.image == same.image).all()
        assert (one.image == other.image).all()
        assert one.model_version == "tiny-1"
        assert twice.image.shape == (64, 64, 3)
        assert twice.model_version.startswith("tiny-1+enlarger-")
        assert twice.labels == one.labels
    assert (crowd.at(64).sample(1, seed=1, first=2)[0].image == large[2].image).all()
    assert isinstance(crowd.at(64).generator, Generator)
    assert crowd.at(64).generator.version == large[0].model_version
    assert crowd.at(64).generator.size_px == 64
    with pytest.raises(RequestError, match="size: 100 px given; allowed: 32, 64"):
        crowd.at(100)


def test_the_papers_crowd_has_one_size() -> None:
    with pytest.raises(RequestError, match="size: 128 px given; allowed: 16$"):
        Crowd(small_paper_crowd()).at(128)


def test_pictures_stay_float_until_the_end() -> None:
    requests = requests_for([Labels("female", 30.0)] * 3, seed=1)
    crowd = tiny_crowd().at(64)
    drawn, labels = crowd.draw(requests)
    assert (drawn.shape, drawn.dtype, labels) == ((3, 3, 64, 64), torch.float32, [r.labels for r in requests])
    plain = crowd.at(32).draw(requests)[0]
    assert torch.equal(drawn, Enlarger.load().enlarge(plain)), "what is enlarged was not rounded before"
    assert ((127.5 * plain + 127.5).frac() > 0.01).float().mean() > 0.5
    assert np.array_equal(np.stack([face.image for face in make(crowd, requests)]), to_photos(drawn))


def test_faces_from_words_are_enlarged_unless_asked(tmp_path: Path) -> None:
    files = write_tiny_density(tmp_path / "d.safetensors"), write_tiny_weights(tmp_path / "c.safetensors")
    makes = Imagine.load(files[0], decoder=files[1])
    plain = Imagine.load(files[0], decoder=files[1], enlarged=False)
    assert (makes.renderer.size_px, plain.renderer.size_px) == (64, 32)
    assert makes.version == f"{plain.version}+{Enlarger.load().version}"
    large, small = (m.sample("smiling", 2, seed=3) for m in (makes, plain))
    assert all(face.image.shape == (64, 64, 3) for face in large)
    assert all(
        (a.image == b.image).all() for a, b in zip(makes.at(32).sample("smiling", 2, seed=3), small, strict=True)
    )
    assert makes.at(32).version == plain.version
