"""VGG-Face: the network against plain layers, and its published forms, at tiny widths written by their own writers."""

from __future__ import annotations

import math
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mien.core import checkpoints, images
from mien.core.errors import RequestError, WeightsError
from mien.faces.encoder import VggFaceEncoder, load_encoder
from mien.pretrained import taps, vggface, vggface_files

# Every width of its own, so that no two layers can be exchanged; pool5 is 2 x 2, so that its order counts.
TINY = vggface.Widths(blocks=(2, 3, 4, 5, 6), hidden=7, people=8, input_size=64)


def _network(seed: int = 0) -> vggface.VggFace:
    network = vggface.VggFace(TINY)
    draw = torch.Generator().manual_seed(seed)
    for value in network.parameters():
        fan = value[0].numel() if value.ndim > 1 else 100
        value.copy_(torch.randn(value.shape, generator=draw) * math.sqrt(2 / fan))
    return network


@pytest.fixture(scope="module")
def network() -> vggface.VggFace:
    return _network()


def _input(seed: int = 1, count: int = 2, size: int = 64) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 60


def _plain(network: vggface.VggFace) -> nn.Sequential:
    """The table of the paper, row by row, as plain layers (table 3: conv and ReLU, mpool 2 x 2, fc)."""
    layers: list[tuple[str, nn.Module]] = []
    for block, convolutions in enumerate((2, 2, 3, 3, 3), 1):
        for i in range(1, convolutions + 1):
            given: Any = getattr(network, f"conv{block}_{i}")
            layer = nn.Conv2d(given.in_channels, given.out_channels, (3, 3), (1, 1), (1, 1))
            layer.load_state_dict(given.state_dict())
            layers += [(f"c{block}_{i}", layer), (f"conv{block}_{i}", nn.ReLU())]
        layers.append((f"pool{block}", nn.MaxPool2d((2, 2), (2, 2))))
    layers.append(("flat", nn.Flatten()))
    for name in ("fc6", "fc7", "fc8"):
        full: Any = getattr(network, name)
        linear = nn.Linear(full.in_features, full.out_features)
        linear.load_state_dict(full.state_dict())
        layers += [(f"{name}_", linear), (name, nn.ReLU())] if name != "fc8" else [("fc8", linear)]
    return nn.Sequential(OrderedDict(layers))


# --- the network ------------------------------------------------------------------------------------------------------


def test_every_tap_is_that_of_plain_layers(network: vggface.VggFace) -> None:
    x = _input()
    found = network(x, taps.VGG_FACE)
    assert tuple(found) == taps.VGG_FACE
    expected, value = {}, x.clone()
    with torch.no_grad():
        for name, layer in _plain(network).named_children():
            value = expected[name] = layer(value)
    for tap in taps.VGG_FACE:
        torch.testing.assert_close(found[tap], expected[tap], rtol=1e-5, atol=1e-4)
        assert found[tap].abs().sum() > 0, f"{tap} is dead: nothing was compared"
    assert (found["fc7"] >= 0).all()
    assert (found["fc8"] < 0).any()
    assert torch.equal(x, _input()), "the input was changed"


def test_the_published_network_has_the_sizes_of_the_paper() -> None:
    with torch.device("meta"):
        network = vggface.VggFace()
        found = network(torch.zeros(1, 3, 224, 224), taps.VGG_FACE[:-3])
    assert sum(p.numel() for p in network.parameters()) == 145_002_878
    shapes = {tap: tuple(value.shape[1:]) for tap, value in found.items()}
    assert shapes["conv1_2"] == (64, 224, 224)
    assert shapes["pool1"] == (64, 112, 112)
    assert shapes["conv3_3"] == (256, 56, 56)
    assert shapes["pool5"] == (512, 7, 7)
    sizes = [tuple(network.get_parameter(f"{name}.weight").shape) for name in taps.FULL]
    assert sizes == [(4096, 7 * 7 * 512), (4096, 4096), (2622, 4096)]
    assert len(taps.VGG_FACE) == 13 + 5 + 3


def test_taps_do_not_change_what_is_computed(network: vggface.VggFace) -> None:
    x = _input()
    together = network(x, taps.VGG_FACE)
    for tap in ("conv1_1", "pool3", "fc6", "fc8"):
        alone = network(x, [tap])
        assert list(alone) == [tap]
        assert torch.equal(alone[tap], together[tap]), tap
    assert list(network(x, ["fc7", "conv2_1", "fc7"])) == ["fc7", "conv2_1"]
    assert network(x, []) == {}


@pytest.mark.parametrize(("tap", "unused"), [("conv1_1", "conv1_2"), ("pool4", "conv5_1"), ("fc6", "fc7")])
def test_nothing_after_the_last_tap_is_computed(network: vggface.VggFace, tap: str, unused: str) -> None:
    called: list[str] = []
    handle = network.get_submodule(unused).register_forward_hook(lambda *_: called.append(unused))
    try:
        network(_input(), [tap])
        assert called == []
        network(_input(), ["fc8"])
        assert called == [unused]
    finally:
        handle.remove()


def test_the_gradient_is_the_slope_and_no_weight_asks_for_one(network: vggface.VggFace) -> None:
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    net = vggface.VggFace(TINY)
    net.load_state_dict(network.state_dict())
    net = net.double()
    x = _input(count=1).double().requires_grad_()
    step = _input(seed=5, count=1).double()

    def loss(value: Tensor) -> Tensor:
        found = net(value, ["conv1_1", "pool2", "conv4_2", "fc7", "fc8"])
        return torch.stack([tap.square().mean().double() for tap in found.values()]).sum()

    (gradient,) = torch.autograd.grad(loss(x), x)
    with torch.no_grad():
        slope = (loss(x + 1e-6 * step) - loss(x - 1e-6 * step)) / 2e-6
    assert float(slope) != 0
    assert float((gradient * step).sum()) == pytest.approx(float(slope), rel=1e-4)


def test_bfloat16_is_for_the_convolutions_only(network: vggface.VggFace) -> None:
    exact = network(_input(), ["pool5", "fc7"])
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(_input(), ["pool5", "fc7"])
        assert torch.is_autocast_enabled("cpu")
    assert rough["pool5"].dtype is torch.bfloat16
    assert rough["fc7"].dtype is torch.float32
    assert nn.functional.cosine_similarity(exact["fc7"], rough["fc7"]).min() > 0.99


def test_other_sizes_are_read_up_to_pool5(network: vggface.VggFace) -> None:
    assert network(torch.zeros(1, 3, 32, 97), ["pool5"])["pool5"].shape == (1, 6, 1, 3)
    with pytest.raises(RequestError, match=r"fc6 of VGG-Face needs 64 x 64 px, given 32 x 97; up to pool5 any size"):
        network(torch.zeros(1, 3, 32, 97), ["pool5", "fc6"])
    for shape in ((1, 1, 64, 64), (3, 64, 64), (1, 3, 64, 31)):
        with pytest.raises(RequestError, match="N 3 H W with H, W >= 32"):
            network(torch.zeros(shape))
    with pytest.raises(RequestError, match=r"no tap 'embedding'; allowed: conv1_1, .*pool5, fc6, fc7, fc8"):
        network(torch.zeros(1, 3, 64, 64), ["embedding"])


def test_the_encoder_reads_the_tensor_form(network: vggface.VggFace) -> None:
    encoder = VggFaceEncoder(network)
    photo = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    by_hand = photo.astype(np.float64) - [129.1863, 104.7624, 93.5940]  # R, G, B
    given = torch.from_numpy(by_hand.astype(np.float32)).permute(0, 3, 1, 2)
    torch.testing.assert_close(images.to_vggface(images.to_tensor(photo)), given, rtol=0, atol=1e-4)
    found = encoder(images.to_tensor(photo), ["conv1_1", "fc7"])
    for tap, value in network(given, ["conv1_1", "fc7"]).items():
        torch.testing.assert_close(found[tap], value, rtol=1e-4, atol=1e-3)
    assert list(encoder(images.to_tensor(photo))) == ["fc7"]
    assert (encoder.input_size, VggFaceEncoder.input_size) == (64, 224)


def test_the_encoder_that_was_not_added_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match=r"'vgg-face' has not been added .*run: mien models add vgg-face FILE$"):
        load_encoder("vgg-face")


# --- its files --------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader expects the tiny network in place of the published one."""
    monkeypatch.setattr(vggface, "PUBLISHED", TINY)


def _hwio(network: vggface.VggFace, name: str) -> np.ndarray:
    """Filters as MatConvNet has them; a fully connected layer is a convolution as large as its input."""
    weight: Tensor = getattr(network, name).weight.detach()
    if name == "fc6":
        weight = weight.reshape(-1, 6, 2, 2)
    elif weight.ndim == 2:
        weight = weight[:, :, None, None]
    return weight.permute(2, 3, 1, 0).numpy().copy()


def _layers(network: vggface.VggFace, form: str) -> np.ndarray:
    layers: list[dict[str, Any]] = []
    for tap in taps.VGG_FACE:
        if tap.startswith("pool"):
            layers.append({"type": "pool", "name": tap, "pool": np.array([2.0, 2.0]), "method": "max"})
            continue
        filters, bias = _hwio(network, tap), getattr(network, tap).bias.detach().numpy()
        layer: dict[str, Any] = {"type": "conv", "name": tap, "stride": 1.0, "pad": 1.0}
        if form == "filters":
            layer |= {"filters": filters, "biases": bias}
        else:
            weights = np.empty((1, 2), object)
            weights[0, 0], weights[0, 1] = filters, bias[:, None]
            layer["weights"] = weights
        layers += [layer, {"type": "relu", "name": f"relu_{tap}", "weights": np.empty((0, 0), object)}]
    layers.append({"type": "softmax", "name": "prob"})
    cell = np.empty((1, len(layers)), object)
    cell[0, :] = layers
    return cell


MEAN = np.array(images.VGGFACE_MEAN, np.float32).reshape(1, 1, 3)


def _mat(path: Path, network: vggface.VggFace, form: str = "net", mean: np.ndarray | None = MEAN) -> Path:
    layers = _layers(network, "filters" if form == "filters" else "weights")
    normalization = {} if mean is None else {"normalization": {"averageImage": mean, "imageSize": [64.0, 64.0, 3.0]}}
    content = {
        "net": {"net": {"layers": layers, "classes": {"name": "x"}, **normalization}},
        "filters": {"layers": layers, **normalization},
        "meta": {"layers": layers, "meta": {"inputs": "x", **normalization}},
    }[form]
    scipy.io.savemat(path, content, do_compression=form == "meta")
    return path


def _pth(path: Path, network: vggface.VggFace, rename: Callable[[str], str] = str, **options: Any) -> Path:
    torch.save(OrderedDict((rename(name), value) for name, value in network.state_dict().items()), path, **options)
    return path


def _same(found: dict[str, Tensor], network: vggface.VggFace) -> None:
    expected = network.state_dict()
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
        assert found[name].dtype is torch.float32
        assert found[name].is_contiguous()


@pytest.mark.parametrize("form", ["net", "filters", "meta"])
def test_matconvnet_forms_are_read(tmp_path: Path, network: vggface.VggFace, form: str) -> None:
    found, facts = vggface_files.read(_mat(tmp_path / "vgg_face.mat", network, form))
    _same(found, network)
    assert facts == {"form": "MatConvNet", "file_colours": "rgb", "input_size": 64}
    loaded = vggface.VggFace(TINY)
    checkpoints.load_into(loaded, found, name="vgg-face")
    assert torch.equal(loaded(_input(), ["fc7"])["fc7"], network(_input(), ["fc7"])["fc7"])


def test_a_whole_mean_image_or_none_will_do(tmp_path: Path, network: vggface.VggFace) -> None:
    noise = np.random.default_rng(0).normal(0, 9, (64, 64, 3))
    for mean in (None, MEAN + noise - noise.mean((0, 1)), MEAN.reshape(3, 1), MEAN.astype(np.float64)):
        found, facts = vggface_files.read(_mat(tmp_path / "a.mat", network, mean=mean))
        _same(found, network)
        assert facts["file_colours"] == "rgb"


def test_a_mean_in_bgr_turns_the_first_filters_and_another_is_refused(tmp_path: Path) -> None:
    network = _network()
    found, facts = vggface_files.read(_mat(tmp_path / "a.mat", network, mean=MEAN[..., ::-1].copy()))
    assert facts["file_colours"] == "bgr"
    loaded = vggface.VggFace(TINY)
    checkpoints.load_into(loaded, found, name="vgg-face")
    torch.testing.assert_close(  # RGB into the turned network is BGR into the one of the file
        loaded(_input(), ["fc7"])["fc7"], network(_input()[:, [2, 1, 0]], ["fc7"])["fc7"], rtol=1e-5, atol=1e-4
    )
    for mean in (np.full((1, 1, 3), 127.0), np.array([[129.0, 104.0]]), np.array(["grey"])):
        with pytest.raises(WeightsError, match=r"averageImage is not the mean colour 129.2, 104.8, 93.6 \(RGB\)"):
            vggface_files.read(_mat(tmp_path / "a.mat", network, mean=mean))


PORTS: dict[str, tuple[Callable[[str], str], dict[str, Any]]] = {
    "dag": (str, {}),
    "before torch 1.6": (str, {"_use_new_zipfile_serialization": False}),
    "parallel": (lambda name: f"module.{name}", {}),
}


@pytest.mark.parametrize("port", PORTS)
def test_state_dicts_are_read(tmp_path: Path, network: vggface.VggFace, port: str) -> None:
    rename, options = PORTS[port]
    found, facts = vggface_files.read(_pth(tmp_path / "vgg_face_dag.pth", network, rename, **options))
    _same(found, network)
    assert facts == {"form": "PyTorch", "file_colours": "rgb", "input_size": 64}


@pytest.mark.parametrize("prefix", ["", "features."])
def test_a_port_of_the_lua_file_reads_bgr(tmp_path: Path, network: vggface.VggFace, prefix: str) -> None:
    path = _pth(tmp_path / "VGG_FACE.pth", network, lambda name: prefix + name.replace("conv", "conv_"))
    found, facts = vggface_files.read(path)
    assert facts["file_colours"] == "bgr"
    assert torch.equal(found["conv1_1.weight"], network.state_dict()["conv1_1.weight"][:, [2, 1, 0]])
    assert torch.equal(found["conv1_2.weight"], network.state_dict()["conv1_2.weight"])
    _same(vggface_files.read(path, "rgb")[0], network)  # the user knows better


def test_safetensors_other_precisions_and_wrapped_dicts_are_read(tmp_path: Path, network: vggface.VggFace) -> None:
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    _same(vggface_files.read(tmp_path / "a.safetensors")[0], network)
    double = {name: value.double() for name, value in network.state_dict().items()}
    double["fc6.weight"] = double["fc6.weight"].reshape(7, 6, 2, 2)  # a convolution, as some ports have it
    torch.save({"state_dict": double, "epoch": 3}, tmp_path / "b.pth")
    _same(vggface_files.read(tmp_path / "b.pth")[0], network)
    turned = vggface_files.read(tmp_path / "b.pth", "bgr")[0]["conv1_1.weight"]
    assert torch.equal(turned.flip(1), network.state_dict()["conv1_1.weight"])


def test_a_pickle_that_torch_warns_of_is_refused_in_silence(tmp_path: Path, network: vggface.VggFace) -> None:
    path = _pth(tmp_path / "a.pth", network, pickle_protocol=4, _use_new_zipfile_serialization=False)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(
            WeightsError,
            match="neither safetensors nor a state dict of PyTorch that can be read: it is a pickle of Python$",
        ):
            vggface_files.read(path)
        assert seen == []
        with pytest.raises(Exception, match="Weights only load failed"):
            torch.load(path, weights_only=True)
        assert seen, "torch does not warn of this file: the test tests nothing"


class Bomb:
    """An object whose pickle writes a file when it is loaded by a reader that runs code."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_does_not_run(tmp_path: Path, network: vggface.VggFace, zipped: bool) -> None:
    content = {**network.state_dict(), "fc9.weight": Bomb(tmp_path / "ran")}
    path = tmp_path / "VGG_FACE.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"VGG_FACE.pth: holds more than tensors .*; refused$"):
        vggface_files.read(path)
    assert not (tmp_path / "ran").exists()
    torch.load(path, weights_only=False)  # the bomb was a live one
    assert (tmp_path / "ran").exists()


def test_a_whole_pickled_module_is_refused(tmp_path: Path, network: vggface.VggFace) -> None:
    torch.save(network, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="holds more than tensors"):
        vggface_files.read(tmp_path / "a.pth")


def _wrong_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """What people give by mistake -> the file, and what the line must say."""
    network = _network()

    def made(name: str, data: bytes) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    def state(name: str, content: Any) -> Path:
        torch.save(content, folder / name)
        return folder / name

    whole = network.state_dict()
    mat, pth = _mat(folder / "whole.mat", network), _pth(folder / "whole.pth", network)
    save_file(whole, folder / "whole.safetensors")
    tensors = (folder / "whole.safetensors").read_bytes()
    scipy.io.savemat(folder / "other.mat", {"x": 1.0})
    scipy.io.savemat(folder / "odd.mat", {"layers": {"name": "conv1_1", "weights": "none"}, "net": 3.0})
    few = np.empty((1, 1), object)
    few[0, 0] = {"name": "conv1_1", "filters": "text", "biases": "text"}
    scipy.io.savemat(folder / "text.mat", {"layers": few})
    nan = {**whole, "conv3_2.bias": torch.full((4,), math.nan)}
    wide = {**whole, "fc8.weight": torch.zeros(9, 7)}
    short = {name: value for name, value in whole.items() if name != "fc8.bias"}
    damaged = "a damaged MATLAB file"
    unreadable = "neither safetensors nor a state dict of PyTorch"
    return {
        "absent": (folder / "gone.mat", "no such file"),
        "folder": (folder, "no such file"),
        "empty": (made("empty.pth", b""), unreadable),
        "photo": (made("photo.jpg", b"\xff\xd8\xff\xe0" + bytes(200)), unreadable),
        "archive": (made("a.tar.gz", b"\x1f\x8b" + bytes(200)), "unpack it and give the vgg_face.mat"),
        "hdf5": (made("a.h5", b"\x89HDF\r\n" + bytes(200)), "a MATLAB 7.3 or HDF5 file"),
        "cut mat": (made("cut.mat", mat.read_bytes()[:2000]), damaged),
        "head of mat": (made("head.mat", mat.read_bytes()[:128]), "without a network of MatConvNet"),
        "cut pth": (made("cut.pth", pth.read_bytes()[:-3000]), unreadable),
        "cut safetensors": (made("cut.safetensors", tensors[:-100]), unreadable),
        "other mat": (folder / "other.mat", "without a network of MatConvNet"),
        "odd mat": (folder / "odd.mat", "without a network of MatConvNet"),
        "text mat": (folder / "text.mat", "without a network of MatConvNet"),
        "list": (state("list.pth", [torch.zeros(2)]), "holds list, wanted a state dict"),
        "no tensor": (state("no.pth", {"conv1_1.weight": 3}), "'conv1_1.weight' is no tensor"),
        "another network": (state("other.pth", {"layer.weight": torch.zeros(2)}), "it has no conv1_1.weight (2 x 3 x"),
        "no fc8 bias": (state("short.pth", short), "not VGG-Face: it has no fc8.bias (8)"),
        "fine-tuned": (state("wide.pth", wide), "fc8.weight is 9 x 7, wanted 8 x 7"),
        "not finite": (state("nan.pth", nan), "conv3_2.bias has values that are no finite numbers"),
        "twice": (state("twice.pth", {"a.fc8.bias": torch.zeros(8), "b.fc8.bias": torch.zeros(8)}), "two tensors"),
    }


def test_wrong_and_damaged_files_are_one_line(tmp_path: Path) -> None:
    for case, (path, line) in _wrong_files(tmp_path).items():
        with pytest.raises(WeightsError) as failure:
            vggface_files.read(path)
        assert line in str(failure.value), case
        assert str(failure.value).startswith(f"{path}: "), case
        assert "\n" not in str(failure.value), case


def test_every_damage_of_a_state_dict_is_read_or_refused(tmp_path: Path, network: vggface.VggFace) -> None:
    draw = np.random.default_rng(0)
    path = _pth(tmp_path / "a.pth", network)
    good = bytearray(path.read_bytes())
    refused = 0
    for _ in range(25):
        data = bytearray(good)
        for place in draw.integers(0, len(data), 5):
            data[place] = draw.integers(0, 256)
        path.write_bytes(data)
        try:
            found, _ = vggface_files.read(path)
        except WeightsError:  # any other error, or a crash, is a failure
            refused += 1
        else:
            assert list(found) == list(network.state_dict())
    assert refused > 0
