"""``mien models add``: a network that the user brings, from the file to the encoder (at tiny widths)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import Result

from mien.core import images
from mien.core.checkpoints import load_weights
from mien.core.errors import MienError, RequestError, WeightsError
from mien.faces.encoder import ENCODERS, load_encoder
from mien.pretrained import registry as store
from mien.pretrained import taps, vggface
from mien.pretrained.integrity import sha256_of

Cli = Callable[..., Result]
TINY = vggface.Widths(blocks=(2, 2, 2, 2, 2), hidden=3, people=4, input_size=32)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(vggface, "PUBLISHED", TINY)
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def network() -> vggface.VggFace:
    network = vggface.VggFace(TINY)
    draw = torch.Generator().manual_seed(0)
    for value in network.parameters():
        value.copy_(torch.rand(value.shape, generator=draw) - 0.3)
    return network


@pytest.fixture
def file(tmp_path: Path, network: vggface.VggFace) -> Path:
    torch.save(network.state_dict(), tmp_path / "vgg_face_dag.pth")
    return tmp_path / "vgg_face_dag.pth"


def _row(cli_here: Cli) -> str:
    listed = cli_here("models", "list")
    assert listed.exit_code == 0
    return next(line for line in listed.stdout.splitlines() if "vgg-face" in line)


def test_from_the_file_to_the_encoder(cli_here: Cli, cache: Path, file: Path, network: vggface.VggFace) -> None:
    assert "not added" in _row(cli_here)
    assert "no; run: mien models add vgg-face FILE" in cli_here("models", "info", "vgg-face").stdout

    done = cli_here("models", "add", "vgg-face", file)
    assert (done.exit_code, done.stderr) == (0, "")
    path = Path(done.stdout.strip())
    assert path.is_relative_to(cache / "weights")
    assert path == store.weights_path("vgg-face")

    assert "not added" not in _row(cli_here)
    assert "added, 0.0 MB" in _row(cli_here)
    assert str(path) in cli_here("models", "info", "vgg-face").stdout

    _, facts = load_weights(path, model="vgg-face")
    assert facts["source"] == "vgg_face_dag.pth"
    assert facts["sha256"] == sha256_of(file)
    assert (facts["form"], facts["file_colours"], facts["licence"]) == ("PyTorch", "rgb", "non-commercial")

    assert "vgg-face" in ENCODERS
    encoder = load_encoder("vgg-face")
    assert (encoder.name, encoder.taps) == ("vgg-face", taps.VGG_FACE)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    expected = network(images.to_vggface(x), ["pool2", "fc7"])
    for tap, value in encoder(x, ["pool2", "fc7"]).items():
        torch.testing.assert_close(value, expected[tap], rtol=1e-4, atol=1e-4)  # sums are in another order
        assert value.abs().sum() > 0
    assert not any(value.requires_grad for value in encoder.network.parameters())


def test_colours_can_be_declared(cli_here: Cli, file: Path, network: vggface.VggFace) -> None:
    assert cli_here("models", "add", "vgg-face", file, "--colours", "bgr").exit_code == 0
    tensors, facts = load_weights(store.weights_path("vgg-face"))
    assert facts["file_colours"] == "bgr"
    assert torch.equal(tensors["conv1_1.weight"], network.state_dict()["conv1_1.weight"].flip(1))
    wrong = cli_here("models", "add", "vgg-face", file, "--colours", "grey").exception
    assert isinstance(wrong, RequestError)
    assert str(wrong) == "--colours: 'grey' is unknown; allowed: auto, rgb, bgr"


def test_a_bad_file_leaves_what_was_added(cli_here: Cli, file: Path, tmp_path: Path) -> None:
    assert cli_here("models", "add", "vgg-face", file).exit_code == 0
    before = store.weights_path("vgg-face").read_bytes()
    (tmp_path / "bad.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(300))
    failed = cli_here("models", "add", "vgg-face", tmp_path / "bad.mat")
    assert isinstance(failed.exception, WeightsError)
    assert failed.stdout == failed.stderr == ""
    assert store.weights_path("vgg-face").read_bytes() == before
    assert [entry.name for entry in store.weights_path("vgg-face").parent.iterdir()] == ["vgg-face-2015-r1.safetensors"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("fetch", "vgg-face"), "'vgg-face' cannot be fetched: get vgg_face.mat (MatConvNet) from https://"),
        (("fetch", "facenet", "vgg-face"), "; run: mien models fetch facenet"),
        (("add", "facenet", "x"), "'facenet' is not added from a file of your own; run: mien models fetch facenet"),
        (("add", "vgg", "x"), "no model that is added from a file is called 'vgg'; allowed: vgg-face"),
        (
            ("info", "vgg"),
            "no model is called 'vgg'; allowed: facenet, dlib-resnet, vgg-face",
        ),
    ],
)
def test_wrong_words_are_one_line_and_status_2(cli_here: Cli, cache: Path, words: tuple[str, ...], line: str) -> None:
    error = cli_here("models", *words).exception
    assert isinstance(error, MienError)
    if words == ("fetch", "facenet", "vgg-face"):
        line = "'vgg-face' cannot be fetched: "  # before anything else is brought
        assert not cache.exists()
    assert error.exit_status == 2
    assert line in str(error)
    assert "\n" not in str(error)


def test_a_file_with_code_is_refused_and_nothing_is_kept(cli_here: Cli, cache: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"conv1_1.weight": Bomb()}, tmp_path / "VGG_FACE.pth")
    done = cli_here("models", "add", "vgg-face", tmp_path / "VGG_FACE.pth")
    assert isinstance(done.exception, WeightsError)
    line = f"{tmp_path}/VGG_FACE.pth: holds more than tensors (it asks for code to be run); refused"
    assert str(done.exception) == line
    assert done.stdout == done.stderr == ""
    assert not (tmp_path / "ran").exists()
    assert not (cache / "weights").exists()
