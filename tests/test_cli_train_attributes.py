"""`mien train attributes` and `mien evaluate attributes` on a small dataset, through a narrow VGG-Face."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import Result

from mien.attributes.reader import AttributeReader
from mien.core.checkpoints import load_weights
from mien.core.errors import RequestError
from mien.core.images import decode_crop, encode_jpeg
from mien.datasets import catalog
from mien.faces import encoder as encoders
from mien.faces.encoder import VggFaceEncoder
from mien.pretrained.vggface import VggFace, Widths

PX = 48
SPLITS = ("train", "train", "validation", "test")
Run = Callable[..., Result]


def face(number: int) -> tuple[catalog.CatalogRow, bytes]:
    """Bright men who smile and dark women who frown; every fourth face has no attributes, but an age."""
    random = np.random.default_rng(number)
    male = number % 2 == 0
    crop = np.clip(60 + 100 * male + random.normal(0, 25, (PX, PX, 3)), 0, 255).astype(np.uint8)
    aged = number % 4 == 3
    present = ("Male", "Smiling", "No Eyewear") if male else ("Frowning", "Blond Hair")
    row = catalog.CatalogRow(
        id=f"lfw:{number}", source="lfw", key=str(number), licence="", sha256=f"{number:064d}", race=None,
        sex="male" if male else "female", age_years=20.0 + number % 50 if aged else None,
        attributes_present=() if aged else present, attributes_absent=() if aged else ("Bald", "Baby"),
        absent_is_sure=False, photo_width=PX, photo_height=PX, transform=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        group=f"g{number}", split=SPLITS[number // 4 % 4], shard=catalog.shard_name("lfw", 0), row_in_shard=number,
    )  # fmt: skip
    return row, encode_jpeg(crop)


@pytest.fixture(scope="module")
def dest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 faces."""
    folder = tmp_path_factory.mktemp("attributes")
    rows, crops = zip(*(face(number) for number in range(240)), strict=True)
    catalog.write_shard(folder, catalog.shard_name("lfw", 0), [row.id for row in rows], list(crops))
    catalog.write_catalog(folder, rows)
    catalog.write_manifest(folder, {"version": catalog.VERSION, "complete": True, "crop": {"size_px": PX}})
    return folder


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A VGG-Face of 32 px and few channels behind its name, always with the same weights."""

    def load(device: torch.device) -> encoders.Encoder:
        generator = torch.Generator().manual_seed(1)
        network = VggFace(Widths(blocks=(4, 4, 8, 8, 8), hidden=24, people=5, input_size=32))
        for parameter in network.parameters():
            spread = (2 / max(parameter[0].numel(), 1)) ** 0.5 if parameter.ndim > 1 else 0.0
            parameter.data = torch.randn(parameter.shape, generator=generator) * spread
        return VggFaceEncoder(network)

    monkeypatch.setitem(encoders._ENCODERS, "vgg-face", load)


def test_heads_are_solved_trained_examined_and_read(cli_here: Run, dest: Path, tmp_path: Path) -> None:
    run, report = tmp_path / "run", tmp_path / "report"
    words = [
        "train",
        "attributes",
        "--data",
        str(dest),
        "--out",
        str(run),
        "--set",
        "encoder=vgg-face",
        "--set",
        "epochs=8",
    ]
    done = cli_here(*words, "--batch", "32")
    assert done.exception is None, done.exception
    weights = run / "weights.safetensors"
    _, about = load_weights(weights, model="attributes")
    assert about["preset"] == "mien"
    assert about["faces_with_attributes"] == 90
    assert about["faces_without"] == 30
    assert about["sources"] == ["lfw"]

    examined = cli_here(
        "evaluate", "attributes", "--data", str(dest), "--weights", str(weights), "--encoder", "vgg-face",
        "--out", str(report),
    )  # fmt: skip
    assert examined.exception is None, examined.exception
    figures = {each["label"]: each for each in json.loads((report / "report.json").read_text())["figures"]}
    assert figures["sex right, faces with attributes"]["value"] > 0.95  # bright and dark are easily told apart
    assert figures["accuracy"]["n"] == 45
    assert (report / "balanced-accuracy.png").is_file()

    reader = AttributeReader.load(weights, encoder="vgg-face")
    crops = np.stack([decode_crop(face(number)[1]) for number in (12, 13)])  # a man and a woman of the test split
    assert float(reader.read(crops).female[0]) < 0.5 < float(reader.read(crops).female[1])

    # Taught and read with the mirror image: what was left may as well be right.
    assert about["heads"]["mirrored"]
    assert about["config"]["mirrored_training"]
    turned = np.ascontiguousarray(crops[:, :, ::-1])
    assert np.allclose(reader.read(crops).probabilities, reader.read(turned).probabilities, atol=1e-4)
    folders = {path.name.split("-sights-")[1].split("-")[0] for path in (dest / "cache").glob("*-sights-*")}
    assert folders == {"plain", "mirrored"}

    # A run that is done is done: the same command with --resume writes the same weights.
    before = weights.read_bytes()
    again = cli_here(*words, "--batch", "32", "--resume")
    assert again.exception is None, again.exception
    assert weights.read_bytes() == before


def test_layers_of_the_encoder_learn_with_the_heads(cli_here: Run, dest: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = cli_here(
        "train", "attributes", "--data", str(dest), "--out", str(run), "--preset", "paper", "--steps", "3", "--batch",
        "8", "--set", "encoder=vgg-face", "--set", "unfreeze_from=fc6", "--set", "rate=0.01",
        "--set", "rate_decay_per_layer=0.5",
    )  # fmt: skip
    assert done.exception is None, done.exception
    tensors, about = load_weights(run / "weights.safetensors")
    assert sorted(name for name in tensors if name.startswith("encoder.")) == [
        "encoder.fc6.bias", "encoder.fc6.weight", "encoder.fc7.bias", "encoder.fc7.weight",
    ]  # fmt: skip
    assert about["config"]["lr_decay_per_layer"] == 0.5
    out = cli_here(
        "evaluate", "attributes", "--data", str(dest), "--weights", str(run / "weights.safetensors"),
        "--encoder", "vgg-face", "--out", str(tmp_path / "report"),
    )  # fmt: skip
    assert out.exception is None, out.exception


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "rate=0"], "--set: rate: Input should be greater than 0, given 0"),
        (["--set", "rate_decay_per_layer=2"], "--set: rate_decay_per_layer: Input should be less than or equal to 1"),
        (["--batch", "0"], "--batch: 0 given"),
        (["--set", "encoder=resnet"], "--set: encoder: Input should be 'facenet' or 'vgg-face', given 'resnet'"),
        (
            ["--set", "encoder=vgg-face", "--set", "unfreeze_from=fc9", "--preset", "paper"],
            "'fc9' given; layers of vgg-face: conv1_1",
        ),
        (
            ["--set", "encoder=vgg-face", "--set", "unfreeze_from=fc8", "--preset", "paper"],
            "no layer of vgg-face from 'fc8' on",
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    cli_here: Run, dest: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    done = cli_here("train", "attributes", "--data", str(dest), "--out", str(tmp_path / "run"), *words)
    assert isinstance(done.exception, RequestError)
    assert message in str(done.exception)


def test_an_unknown_split_is_named(cli_here: Run, dest: Path, tmp_path: Path) -> None:
    done = cli_here("evaluate", "attributes", "--data", str(dest), "--out", str(tmp_path), "--split", "spare")
    assert "--split: 'spare' given, allowed: train, validation, test" in str(done.exception)
