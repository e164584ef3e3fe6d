"""FaceNet: the reader of its graph, its layers, and its agreement with OpenCV on the published file."""

from __future__ import annotations

import itertools
import struct
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.core import images
from mien.core.errors import RequestError, WeightsError
from mien.core.photos import read_photo
from mien.core.records import UInt8Image
from mien.faces.encoder import FaceNetEncoder, load_encoder
from mien.pretrained import facenet, graphdef, taps
from mien.pretrained import registry as store

# --- the graph reader -------------------------------------------------------------------------------------------------


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _const(name: str, shape: tuple[int, ...], values: bytes, dtype: int = 1) -> bytes:
    dims = b"".join(_field(2, _field(1, size)) for size in shape)
    tensor = _field(1, dtype) + _field(2, dims) + values
    attribute = _field(5, _field(1, b"value") + _field(2, _field(8, tensor)))
    other = _field(5, _field(1, b"dtype") + _field(2, _field(6, dtype)))
    return _field(1, _field(1, name.encode()) + _field(2, b"Const") + _field(3, b"^x") + other + attribute)


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), max_size=4), st.integers(0, 2**32 - 1))
def test_a_constant_is_read_as_it_was_written(shape: list[int], seed: int) -> None:
    array = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    found = graphdef.constants(_const("a/b", tuple(shape), _field(4, array.tobytes())))
    assert list(found) == ["a/b"]
    assert found["a/b"].shape == tuple(shape)
    np.testing.assert_array_equal(found["a/b"], array)


def test_listed_single_and_integer_values_are_read() -> None:
    floats = np.array([1.5, -2.0], np.float32)
    one = _varint(5 << 3 | 5) + struct.pack("<f", 0.25)
    data = (
        _const("packed", (2,), _field(5, floats.tobytes()))
        + _const("everywhere", (2, 3), one)
        + _const("whole", (2,), _field(7, _varint(1) + _varint(2**64 - 1)), dtype=3)
        + _const("text", (1,), _field(8, b"x"), dtype=7)
    )
    found = graphdef.constants(data)
    assert list(found) == ["packed", "everywhere", "whole"]
    assert found["packed"].tolist() == [1.5, -2.0]
    assert found["everywhere"].tolist() == [[0.25] * 3] * 2
    assert found["whole"].tolist() == [1, -1]


def test_a_cut_graph_is_refused_in_one_line() -> None:
    data = _const("a", (4,), _field(4, bytes(16)))
    with pytest.raises(WeightsError, match="cut short"):
        graphdef.constants(data[:-1])
    with pytest.raises(WeightsError, match="hold none"):
        graphdef.constants(b"")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader_in_another_way(data: bytes) -> None:
    with pytest.raises(WeightsError):
        graphdef.constants(_const("a", (4,), _field(4, bytes(15))) + data)  # 15 bytes are no four floats


@given(st.data())
def test_a_damaged_graph_is_read_or_refused(data: st.DataObject) -> None:
    good = bytearray(_const("a", (2, 2), _field(4, bytes(16))) + _const("b", (3,), _field(5, bytes(4))))
    good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = graphdef.constants(bytes(good))
    except WeightsError:
        return
    assert all(isinstance(array, np.ndarray) for array in found.values())


# --- the network ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network() -> facenet.InceptionResnetV1:
    """The architecture with small random weights: what needs no training is tested without a fetch."""
    net = facenet.InceptionResnetV1()
    draw = torch.Generator().manual_seed(3)
    for value in net.parameters():
        fan = max(value[0].numel(), 1)
        value.copy_(torch.randn(value.shape, generator=draw) / fan**0.5)
    return net


SHAPES_160 = {
    "1a": (32, 79, 79), "2a": (32, 77, 77), "2b": (64, 77, 77), "3b": (80, 38, 38), "4a": (192, 36, 36),
    "4b": (256, 17, 17), "stem": (256, 17, 17), "block35_1": (256, 17, 17), "block35": (256, 17, 17),
    "mixed_6a": (896, 8, 8), "block17_7": (896, 8, 8), "block17": (896, 8, 8), "mixed_7a": (1792, 3, 3),
    "block8_6": (1792, 3, 3), "block8": (1792, 3, 3), "pool": (1792,), "embedding": (512,),
}  # fmt: skip


def test_every_tap_has_the_shape_of_the_published_network(network: facenet.InceptionResnetV1) -> None:
    x = torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    found = network(x, taps.FACENET)
    assert tuple(found) == taps.FACENET
    assert {name: tuple(found[name].shape[1:]) for name in SHAPES_160} == SHAPES_160
    assert all(len(value) == 2 for value in found.values())
    assert sum(p.numel() for p in network.parameters()) == 23_467_824
    assert found["block35"] is found["block35_5"]
    assert found["block8"] is found["block8_6"]
    torch.testing.assert_close(found["embedding"].norm(dim=1), torch.ones(2))
    # every spatial tap stands after its ReLU, but for the last block, which has none
    for name in set(SHAPES_160) - {"block8", "block8_6", "pool", "embedding"}:
        assert (found[name] >= 0).all(), name
    assert (found["block8"] < 0).any()


def test_taps_do_not_change_what_is_computed(network: facenet.InceptionResnetV1) -> None:
    x = torch.randn(1, 3, 160, 160, generator=torch.Generator().manual_seed(1))
    together = network(x, taps.FACENET)
    for tap in ("2b", "block35_2", "mixed_6a", "block17", "pool", "embedding"):
        assert torch.equal(network(x, [tap])[tap], together[tap]), tap


@pytest.mark.parametrize(("tap", "unused"), [("2b", "stem.4a"), ("stem", "block35_1"), ("block17", "mixed_7a")])
def test_nothing_after_the_last_tap_is_computed(network: facenet.InceptionResnetV1, tap: str, unused: str) -> None:
    called: list[str] = []
    handle = network.get_submodule(unused).register_forward_hook(lambda *_: called.append(unused))
    try:
        network(torch.zeros(1, 3, 160, 160), [tap])
        assert called == []
        network(torch.zeros(1, 3, 160, 160), ["pool"])
        assert called == [unused]
    finally:
        handle.remove()


@pytest.mark.parametrize("size", [(96, 96), (128, 128), (128, 177)])
def test_other_sizes_are_read(network: facenet.InceptionResnetV1, size: tuple[int, int]) -> None:
    found = network(torch.zeros(1, 3, *size), ["2b", "4b", "embedding"])
    assert found["embedding"].shape == (1, 512)
    assert found["4b"].shape[2:] == tuple(((((s - 3) // 2 + 1) - 2 - 3) // 2 + 1 - 2 - 3) // 2 + 1 for s in size)


def test_the_gradient_reaches_the_image_and_no_weight(network: facenet.InceptionResnetV1) -> None:
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    x = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(2)).requires_grad_()
    found = network(x, ["4b", "embedding"])
    (gradient,) = torch.autograd.grad(found["4b"].square().mean() + found["embedding"][0, 0], x)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


def test_the_gradient_of_a_tap_is_the_slope_of_the_tap(network: facenet.InceptionResnetV1) -> None:
    # In-place ReLUs must not spoil what autograd keeps: compare with a central difference in float64.
    net = facenet.InceptionResnetV1()
    net.load_state_dict(network.state_dict())
    net = net.double()
    x = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(4), dtype=torch.float64).requires_grad_()
    step = torch.randn(x.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)

    def loss(value: torch.Tensor) -> torch.Tensor:
        found = net(value, ["2b", "block35_1", "mixed_7a"])
        return sum((tap.square().mean() for tap in found.values()), torch.zeros((), dtype=torch.float64))

    (gradient,) = torch.autograd.grad(loss(x), x)
    with torch.no_grad():
        slope = (loss(x + 1e-6 * step) - loss(x - 1e-6 * step)) / 2e-6
    assert float((gradient * step).sum()) == pytest.approx(float(slope), rel=1e-4)


def test_wrong_requests_say_what_is_allowed(network: facenet.InceptionResnetV1) -> None:
    with pytest.raises(RequestError, match=r"no tap 'fc7'; allowed: 1a, .*block17.*embedding"):
        network(torch.zeros(1, 3, 160, 160), ["fc7"])
    for shape in ((1, 1, 160, 160), (3, 160, 160), (1, 3, 160, 95)):
        with pytest.raises(RequestError, match="N 3 H W"):
            network(torch.zeros(shape))


def test_a_foreign_graph_is_not_converted() -> None:
    with pytest.raises(WeightsError, match="not the FaceNet graph"):
        facenet.convert(_const("InceptionResnetV1/Conv2d_1a_3x3/weights", (1,), _field(4, bytes(4))))


# --- the encoder and the fetched weights ------------------------------------------------------------------------------


def test_an_unknown_encoder_is_refused_with_the_list() -> None:
    with pytest.raises(RequestError, match="no face encoder is called 'arcface'; allowed: facenet"):
        load_encoder("arcface")


def test_an_encoder_that_was_not_fetched_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="run: mien models fetch facenet"):
        load_encoder()


def test_the_encoder_reads_the_tensor_form(network: facenet.InceptionResnetV1) -> None:
    encoder = FaceNetEncoder(network)
    photo = np.random.default_rng(0).integers(0, 256, (2, 160, 160, 3), dtype=np.uint8)
    given = torch.from_numpy((photo.astype(np.float32) - 127.5) / 128).permute(0, 3, 1, 2)
    found = encoder(images.to_tensor(photo), ["stem", "pool"])
    for tap, value in network(given, ["stem", "pool"]).items():
        torch.testing.assert_close(found[tap], value, rtol=1e-4, atol=1e-4)


def _graph(models_cache: Path) -> bytes:
    model = store.find("facenet")
    wheel = models_cache / "archives" / model.filename
    if not wheel.is_file():
        pytest.skip(f"the published graph is absent: {wheel} (kept there by `mien models fetch facenet`)")
    return zipfile.ZipFile(wheel).read(model.member)


def _smooth_photos(count: int) -> UInt8Image:
    noise = np.random.default_rng(7).integers(0, 256, (count, 9, 9, 3), dtype=np.uint8)
    return np.stack([images.resize(small, 160, 160) for small in noise])


@pytest.mark.models
def test_the_port_is_opencv_s_network(models_cache: Path) -> None:
    graph = _graph(models_cache)
    # OpenCV 4.14 stumbles over the two control inputs: their field (3) is renumbered to one that nobody reads (15).
    readable = graph
    for control in (b"^InceptionResnetV1/Bottleneck/MatMul", b"^InceptionResnetV1/Logits/AvgPool_1a_8x8/AvgPool"):
        text = bytes([len(control)]) + control
        assert graph.count(b"\x1a" + text) == 1
        readable = readable.replace(b"\x1a" + text, b"\x7a" + text)
    net = cv2.dnn.readNetFromTensorflow(np.frombuffer(readable, np.uint8))
    net.enableFusion(False)  # so that inner layers can be asked for
    names = {
        "4b": "Conv2d_4b_3x3/Relu", "block35": "Repeat/block35_5/Relu", "mixed_6a": "Mixed_6a/concat",
        "block17": "Repeat_1/block17_10/Relu", "block8_5": "Repeat_2/block8_5/Relu",
    }  # fmt: skip
    x = images.to_facenet(images.to_tensor(_smooth_photos(2)))
    network = facenet.InceptionResnetV1()
    tensors, _ = facenet.convert(graph)
    network.load_state_dict(tensors)
    found = network(x, [*names, "embedding"])
    encoded = load_encoder()(images.to_tensor(_smooth_photos(2)), ["embedding"])["embedding"]
    for index in range(len(x)):
        net.setInput(x[index : index + 1].numpy())
        layers = [f"InceptionResnetV1/{layer}" for layer in names.values()]
        *inner, embedding = (torch.from_numpy(value.copy()) for value in net.forward([*layers, "embeddings"]))
        for tap, value in zip(names, inner, strict=True):
            error = (found[tap][index] - value[0]).abs().max() / value.abs().max()
            assert error < 1e-4, (tap, float(error))
        assert (found["embedding"][index] - embedding[0]).abs().max() < 2e-6
        # the stored float16 weights
        assert float(encoded[index] @ embedding[0]) > 0.9999


@pytest.mark.models
@pytest.mark.usefixtures("models_cache")
def test_bfloat16_keeps_the_direction_and_float32_heads() -> None:
    encoder = load_encoder()
    x = images.to_tensor(_smooth_photos(2))
    exact = encoder(x, ["4b", "pool", "embedding"])
    with torch.autocast("cpu", torch.bfloat16):
        rough = encoder(x, ["4b", "pool", "embedding"])
    assert rough["4b"].dtype is torch.bfloat16
    assert rough["pool"].dtype is rough["embedding"].dtype is torch.float32
    assert (exact["embedding"] * rough["embedding"]).sum(1).min() > 0.99


@pytest.mark.models
@pytest.mark.shared
@pytest.mark.usefixtures("models_cache")
def test_photos_of_one_person_are_near_and_of_two_are_not(shared_data: Path) -> None:
    folders = sorted((shared_data / "lfw" / "lfw-deepfunneled").iterdir())
    people = list(itertools.islice((f for f in folders if len(list(f.glob("*.jpg"))) > 1), 8))
    photos = [sorted(person.glob("*.jpg"))[k] for k in (0, 1) for person in people]
    crops = np.stack([images.resize(read_photo(path)[45:205, 45:205], 160, 160) for path in photos])
    codes = load_encoder()(images.to_tensor(crops), ["embedding"])["embedding"]
    likeness = codes[:8] @ codes[8:].T  # 8 people, first photo against second
    same, other = likeness.diagonal(), likeness[~torch.eye(8, dtype=torch.bool)]
    assert same.mean() > 0.55
    assert other.mean() < 0.35
    assert (likeness.argmax(1) == torch.arange(8)).sum() >= 7
