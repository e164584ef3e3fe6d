"""FaceRes: its order of numbers read from bytes written here, its arithmetic against TensorFlow.js's own answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mien.core.errors import RequestError, WeightsError
from mien.core.images import to_tensor
from mien.pretrained import registry as store
from mien.pretrained.faceres import SIDE, TAPS, FaceRes, convert, faceres_crop

Array = np.ndarray[Any, Any]
CHANNELS = [(32, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512)]
CHANNELS += [(512, 512)] * 5 + [(512, 1024), (1024, 1024)]
HALVES = (1, 3, 5, 11)  # blocks whose depthwise layer has a stride of 2


def published(random: np.random.Generator) -> tuple[bytes, dict[str, Array]]:
    """A file in the published order with random numbers, and these by the names of the published graph."""
    numbers: dict[str, Array] = {}

    def draw(name: str, *shape: int, scale: float, mean: float = 0.0) -> None:
        numbers[name] = (mean + random.normal(size=shape) * scale).astype("<f2")

    def bounds(name: str) -> None:
        numbers[f"{name}/high"], numbers[f"{name}/low"] = np.array(6, "<f2"), np.array(0, "<f2")

    for name, inputs, outputs in (("age", 256, 100), ("feats", 1024, 256), ("gender", 256, 1)):
        draw(f"{name}/kernel", inputs, outputs, scale=(2 / inputs) ** 0.5)
        draw(f"{name}/bias", outputs, scale=0.3)
    draw("conv1/kernel", 3, 3, 3, 32, scale=0.01)
    draw("conv1/sub", 32, scale=0.3)
    bounds("conv1")
    for block, (before, after) in enumerate(CHANNELS):
        draw(f"dw{block}/kernel", 3, 3, before, 1, scale=0.5)
        draw(f"dw{block}/mul", before, scale=0.2, mean=1)
        draw(f"dw{block}/sub", before, scale=0.3)
        bounds(f"dw{block}")
        draw(f"pw{block}/kernel", 1, 1, before, after, scale=(2 / before) ** 0.5)
        draw(f"pw{block}/sub", after, scale=0.3)
        bounds(f"pw{block}")
    data = b"".join(values.tobytes() for values in numbers.values()) + np.array([1, 2], "<i4").tobytes()
    return data, numbers


def as_published(numbers: dict[str, Array], photos: Array) -> dict[str, torch.Tensor]:
    """The published graph step by step: photos (N 224 224 3 uint8, RGB) -> maps, pool, probability of male, ages."""
    held = {name: torch.from_numpy(values.astype(np.float32)) for name, values in numbers.items()}

    def same(x: torch.Tensor, stride: int) -> torch.Tensor:
        size = x.shape[-1]
        total = max((-(-size // stride) - 1) * stride + 3 - size, 0)  # TensorFlow's rule, the odd zero comes last
        return F.pad(x, (total // 2, total - total // 2) * 2)

    def bounded(name: str, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(x + held[f"{name}/sub"][:, None, None])
        return torch.maximum(torch.minimum(x, held[f"{name}/high"]), held[f"{name}/low"])

    x = torch.from_numpy(photos[..., ::-1].astype(np.float32)) - torch.tensor([103.939, 116.779, 123.68])
    x = same(x.permute(0, 3, 1, 2), 2)
    x = bounded("conv1", F.conv2d(x, held["conv1/kernel"].permute(3, 2, 0, 1), stride=2))
    for block, (before, _) in enumerate(CHANNELS):
        stride = 2 if block in HALVES else 1
        kernel = held[f"dw{block}/kernel"].permute(2, 3, 0, 1)
        x = F.conv2d(same(x, stride), kernel, stride=stride, groups=before)
        x = bounded(f"dw{block}", x * held[f"dw{block}/mul"][:, None, None])
        x = bounded(f"pw{block}", F.conv2d(x, held[f"pw{block}/kernel"].permute(3, 2, 0, 1)))
    pool = x.mean((2, 3))
    feats = F.relu(pool @ held["feats/kernel"] + held["feats/bias"])
    male = (feats @ held["gender/kernel"] + held["gender/bias"]).sigmoid()[:, 0]
    ages = (feats @ held["age/kernel"] + held["age/bias"]).softmax(1)
    return {"maps": x, "pool": pool, "male": male, "ages": ages}


def pictures() -> Array:
    """Three pictures by integer arithmetic, the same everywhere: slopes, rings with tiles, and an egg with two eyes."""
    y, x = np.mgrid[0:224, 0:224]
    slopes = np.stack([(x * 5 + y * 3) % 256, (x * y // 7) % 256, (255 - x - y // 2) % 256], 2)
    rings = ((x - 112) ** 2 + (y - 120) ** 2) // 60 % 256
    rings = np.stack([rings, (x // 10 * 40 + y // 15 * 30) % 256, (y * 2) % 256], 2)
    inside = (x - 112) ** 2 * 2 + (y - 118) ** 2 < 9000
    eyes = ((x - 80) ** 2 + (y - 95) ** 2 < 150) | ((x - 144) ** 2 + (y - 95) ** 2 < 150)
    egg = np.where(eyes, 40, np.where(inside, 190 - y // 4, 90 + x // 4))
    return np.stack([slopes, rings, np.stack([egg, egg - egg // 5, egg - egg // 3], 2)]).astype(np.uint8)


def test_the_network_answers_as_the_published_graph() -> None:
    data, numbers = published(np.random.default_rng(0))
    tensors, metadata = convert(data)
    assert metadata["taps"] == {"pool": 1024}
    for name, tensor in tensors.items():
        assert torch.equal(tensor.half().float(), tensor), f"{name} would lose something as float16"
    network = FaceRes.of(tensors)  # strict: nothing missing, nothing extra
    with torch.no_grad():
        found = network(to_tensor(pictures()), TAPS)
        usual = network(to_tensor(pictures()))
    wanted = as_published(numbers, pictures())
    assert ((wanted["maps"] > 0) & (wanted["maps"] < 6)).float().mean() > 0.2, "else the graph hides what is wrong"
    assert wanted["pool"].std(0).mean() > 0.01
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "maps": (3, 1024, 7, 7), "pool": (3, 1024), "female": (3,), "ages": (3, 100),
    }  # fmt: skip
    torch.testing.assert_close(found["maps"], wanted["maps"], rtol=1e-4, atol=2e-4)
    torch.testing.assert_close(found["pool"], wanted["pool"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close((-found["female"]).sigmoid(), wanted["male"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found["ages"], wanted["ages"], rtol=1e-3, atol=1e-5)
    assert list(usual) == ["maps", "pool"]
    assert torch.equal(usual["pool"], found["pool"])


def test_files_of_other_networks_are_refused_in_one_line() -> None:
    data, numbers = published(np.random.default_rng(0))
    for wrong in (data[:-1], data + b"\0", b"", b"not a network"):
        with pytest.raises(WeightsError, match=f"^faceres: the file holds {len(wrong)} bytes, wanted {len(data)}$"):
            convert(wrong)
    names = list(numbers)

    def spoilt(name: str, value: float) -> bytes:
        place = sum(numbers[other].nbytes for other in names[: names.index(name)])
        return data[:place] + np.array(value, "<f2").tobytes() + data[place + 2 :]

    with pytest.raises(WeightsError, match=r"^faceres: blocks\.3\.depth is bounded by 5\.5 and 0, wanted 6 and 0$"):
        convert(spoilt("dw3/high", 5.5))
    with pytest.raises(WeightsError, match=r"^faceres: layer blocks\.12\.point\.bias holds numbers that are not fin"):
        convert(spoilt("pw12/sub", float("nan")))


def test_wrong_taps_and_shapes_are_refused() -> None:
    network = FaceRes().eval()
    with pytest.raises(RequestError, match="no tap 'male'; allowed: maps, pool, female, ages"):
        network(torch.zeros(1, 3, SIDE, SIDE), ("male",))
    with pytest.raises(ValueError, match="wanted N 3 224 224"):
        network(torch.zeros(1, 3, 160, 160))


def test_gradients_reach_the_crop_within_the_window_and_nowhere_else() -> None:
    data, _ = published(np.random.default_rng(1))
    network = FaceRes.of(convert(data)[0])
    crops = torch.rand(1, 3, 100, 100, generator=torch.Generator().manual_seed(0)).mul(2).sub(1).requires_grad_()
    network(faceres_crop(crops), ("female",))["female"].sum().backward()
    assert crops.grad is not None
    assert not any(weight.requires_grad for weight in network.parameters())
    strength = crops.grad.abs().sum((0, 1))
    assert (strength[12:92, 10:90] > 0).float().mean() > 0.9
    strength[11:93, 9:91] = 0
    assert strength.sum() == 0


@pytest.mark.parametrize(("across", "down"), [(0.32, 0.42), (0.68, 0.42), (0.5, 0.8)])
def test_the_window_is_where_it_is_said_to_be(across: float, down: float) -> None:
    crop = torch.zeros(1, 3, 256, 256)
    crop[..., round(down * 256), round(across * 256)] = 1
    found = faceres_crop(crop)[0, 0]
    assert found.shape == (SIDE, SIDE)
    pixels = torch.arange(SIDE) + 0.5
    weight = found / found.sum()
    row, column = (float((weight.sum(axis) * pixels).sum()) for axis in (1, 0))
    # 0.12 and 0.10 of 256 px lie above and left of the window, whose 204.8 px become 224
    assert row == pytest.approx((round(down * 256) + 0.5 - 30.72) * 224 / 204.8, abs=0.1)
    assert column == pytest.approx((round(across * 256) + 0.5 - 25.6) * 224 / 204.8, abs=0.1)


@pytest.mark.models
def test_answers_are_those_of_tensorflow_js(models_cache: Path) -> None:
    if not next(entry.size_bytes for entry in store.status() if entry.model.name == "faceres"):
        pytest.skip("faceres is absent (bring it with `mien models fetch faceres`; npm may be out of reach)")
    network = FaceRes.load()
    with torch.no_grad():
        found = network(to_tensor(pictures()), TAPS)
    # Written by TensorFlow.js 4.22.0 (CPU backend, the package's own graph model) for the same three pictures.
    wanted = np.load(Path(__file__).parent / "data" / "faceres_reference.npz")
    np.testing.assert_allclose((-found["female"]).sigmoid().numpy(), wanted["male"], rtol=1e-5)
    np.testing.assert_allclose(found["pool"].numpy(), wanted["pool"], rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(found["ages"].numpy(), wanted["ages"], rtol=1e-4, atol=1e-7)
    years = np.arange(1, 101)
    np.testing.assert_allclose(found["ages"].numpy() @ years, wanted["ages"] @ years, rtol=1e-5)
    assert wanted["ages"] @ years == pytest.approx([28.54, 28.38, 34.70], abs=0.01)
