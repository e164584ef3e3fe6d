"""dlib's ResNet: its format read from bytes written here, its arithmetic against dlib's own answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mien.core.errors import RequestError, WeightsError
from mien.core.images import to_tensor
from mien.faces.dlib_resnet import BLOCKS, MAPS, DlibResNet, convert, dlib_crop, to_dlib
from mien.faces.inner_square import grey_outside, inner_square


def integer(value: int) -> bytes:
    body = abs(value).to_bytes(max(1, (abs(value).bit_length() + 7) // 8), "little")
    return bytes([len(body) | (0x80 if value < 0 else 0)]) + body


def tensor(values: np.ndarray) -> bytes:
    head = b"".join(integer(number) for number in (2, values.size, 1, 1, 1))
    return head + values.astype("<f4").tobytes()


def text(word: str) -> bytes:
    return integer(len(word)) + word.encode()


def dlib_file(random: np.random.Generator) -> tuple[bytes, dict[str, np.ndarray]]:
    """A file of the right network in dlib's format, with random numbers, and what it must become."""
    wanted, data = {}, b"\x01\x01" + text("loss_metric_2")

    def draw(name: str, *shape: int) -> np.ndarray:
        wanted[name] = random.normal(size=shape).astype(np.float32)
        return wanted[name].ravel()

    def layer(conv: str, affine: str, before: int, filters: int, side: int) -> bytes:
        weights = np.concatenate([draw(f"{conv}.weight", filters, before, side, side), draw(f"{conv}.bias", filters)])
        scale = np.concatenate([draw(f"{affine}.gain", filters), draw(f"{affine}.shift", filters)])
        settings = b"".join(integer(number) for number in (filters, side, side, 1, 1, 0, 0))
        return text("con_4") + tensor(weights) + settings + text("affine_") + tensor(scale) + integer(1)

    data += layer("stem", "stem_affine", 3, 32, 7)
    before = 32
    for index, (filters, _) in enumerate(BLOCKS):
        data += layer(f"blocks.{index}.conv1", f"blocks.{index}.affine1", before, filters, 3)
        data += layer(f"blocks.{index}.conv2", f"blocks.{index}.affine2", filters, filters, 3)
        before = filters
    dense = draw("project.weight", 128, 256).reshape(128, 256)
    return data + text("fc_2") + integer(128) + integer(256) + tensor(dense.T.ravel()) + integer(0), wanted


def chips() -> np.ndarray:
    """Three pictures by integer arithmetic, the same everywhere: slopes, rings with tiles, and one flat colour."""
    y, x = np.mgrid[0:150, 0:150]
    slopes = np.stack([(x * 5 + y * 3) % 256, (x * y // 7) % 256, (255 - x - y // 2) % 256], 2)
    rings = ((x - 75) ** 2 + (y - 80) ** 2) // 30 % 256
    rings = np.stack([rings, (x // 10 * 40 + y // 15 * 30) % 256, (y * 2) % 256], 2)
    return np.stack([slopes, rings, np.full((150, 150, 3), (123, 117, 104))]).astype(np.uint8)


def test_every_number_of_the_file_lands_in_its_place():
    data, wanted = dlib_file(np.random.default_rng(0))
    tensors, metadata = convert(data)
    assert metadata["taps"] == {"pool": 256, "embedding": 128}
    assert set(tensors) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_array_equal(tensors[name].numpy(), values)
    DlibResNet.of(tensors)  # strict: nothing missing, nothing extra


def test_damaged_files_are_refused_in_one_line():
    data, _ = dlib_file(np.random.default_rng(0))
    with pytest.raises(WeightsError, match="cut short in a fc_2 layer"):
        convert(data[:-5000])
    with pytest.raises(WeightsError, match="0 convolutions"):
        convert(b"not a network")
    with pytest.raises(WeightsError, match="28 convolutions"):
        convert(data.replace(text("con_4"), text("con_9"), 1))


def test_shapes_taps_and_gradient():
    network = DlibResNet().eval()
    crops = torch.rand(2, 3, 96, 96).mul(2).sub(1).requires_grad_()
    taps = network(dlib_crop(crops))
    assert {name: tuple(value.shape) for name, value in taps.items()} == {"pool": (2, 256), "embedding": (2, 128)}
    taps["embedding"].sum().backward()
    assert crops.grad is not None
    assert crops.grad[..., 40:80, 30:66].abs().sum() > 0
    assert crops.grad[..., :10, :].abs().sum() == 0  # outside dlib's window
    with pytest.raises(ValueError, match="wanted N 3 150 150"):
        network(torch.zeros(1, 3, 96, 96))


def test_taps_of_the_last_levels_leave_the_embedding_as_it_is():
    torch.manual_seed(0)
    network = DlibResNet().eval()
    chips = torch.rand(2, 3, 150, 150) * 2 - 1
    with torch.no_grad():
        taps = network(chips, ("level0", "embedding", "level1", "pool"))
        usual = network(chips)
        # By hand, as the network was before it had taps by name.
        x = torch.nn.functional.relu(network.stem_affine(network.stem(to_dlib(chips))))
        x = torch.nn.functional.max_pool2d(x, 3, 2)
        maps = []
        for block in network.blocks:
            x = block(x)
            maps.append(x)
        embedding = network.project(x.mean((2, 3)))
    assert list(taps) == ["level0", "embedding", "level1", "pool"]
    assert {name: tuple(taps[name].shape) for name in taps} == {
        "level1": (2, *MAPS["level1"]), "level0": (2, *MAPS["level0"]), "pool": (2, 256), "embedding": (2, 128),
    }  # fmt: skip
    assert torch.equal(taps["level1"], maps[-2])
    assert torch.equal(taps["level0"], maps[-1])
    assert torch.equal(taps["embedding"], embedding)
    assert torch.equal(usual["embedding"], embedding)
    assert list(usual) == ["pool", "embedding"]
    with pytest.raises(RequestError, match="no tap 'level2'; allowed: level1, level0, pool, embedding"):
        network(chips, ("level2",))


def test_the_crop_takes_mien_eyes_to_dlib_eyes():
    crop = torch.full((1, 3, 256, 256), -1.0)
    for share in (0.32, 0.68):  # outer eye corners, 0.36 apart, at 0.42 down
        crop[..., round(0.42 * 256), round(share * 256)] = 1
    row, *columns = _bright(dlib_crop(crop)[0, 0])
    # dlib's shape puts them at 0.309 down and 0.247, 0.740 across; the fit over real faces is a little wider.
    assert row == pytest.approx(0.309 * 150, abs=5)
    assert columns == pytest.approx([0.247 * 150, 0.740 * 150], abs=5)


def _bright(picture: torch.Tensor) -> tuple[float, float, float]:
    heights = (picture + 1).numpy()
    y, x = np.mgrid[0 : heights.shape[0], 0 : heights.shape[1]]
    left, right = heights * (x < 75), heights * (x >= 75)
    return (
        float((heights * y).sum() / heights.sum()),
        float((left * x).sum() / left.sum()),
        float((right * x).sum() / right.sum()),
    )


def test_inner_square_and_its_mask_keep_the_same_pixels():
    crops = torch.rand(1, 3, 100, 100)
    masked = grey_outside(crops)
    torch.testing.assert_close(inner_square(crops, 60), inner_square(masked, 60), atol=1e-5, rtol=0)
    torch.testing.assert_close(inner_square(crops, 60), crops[..., 25:85, 20:80], atol=1e-4, rtol=0)
    assert masked[..., :25, :].abs().sum() == masked[..., :, 80:].abs().sum() == 0


@pytest.mark.models
def test_embeddings_are_those_of_dlib(models_cache):
    network = DlibResNet.load()
    with torch.no_grad():
        found = network(to_tensor(chips()))["embedding"].numpy()
    # Written by dlib 20.0.1 (face_recognition_model_v1.compute_face_descriptor) for the same three pictures.
    wanted = np.load(Path(__file__).parent / "data" / "dlib_reference.npz")["embeddings"]
    assert np.abs(found - wanted).max() < 1e-3
