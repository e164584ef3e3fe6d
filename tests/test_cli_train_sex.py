"""`mien train sex` on a small dataset: trained, summed, examined with and without; and packaged, on made faces."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_cli_train_attributes import dest, narrow  # noqa: F401 (fixtures: the small dataset and its encoder)
from test_faces_sex_readers import networks  # noqa: F401 (fixture: networks that see brightness only)
from typer.testing import Result

from mien.attributes.sex_readers import SexReaders, fetched
from mien.attributes.sex_sights import SIGHTS
from mien.core.checkpoints import load_weights
from mien.core.errors import RequestError, WeightsError
from mien.pretrained import registry as store

Run = Callable[..., Result]


@pytest.mark.usefixtures("networks")
def test_readers_are_trained_summed_and_examined(
    cli_here: Run,
    dest: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    heads = tmp_path / "heads" / "weights.safetensors"
    vgg = ["--data", str(dest), "--encoder", "vgg-face"]
    done = cli_here("train", "attributes", *vgg, "--out", str(heads.parent), "--epochs", "2", "--batch", "32")
    assert done.exception is None, done.exception

    words = ["train", "sex", *vgg, "--heads", str(heads), "--batch", "16", "--steps", "40", "--seed", "3"]
    done = cli_here(*words, "--out", str(tmp_path / "run"))
    assert done.exception is None, done.exception
    assert "of 60 validation faces read wrongly: " in done.stdout
    weights = tmp_path / "run" / "weights.safetensors"
    tensors, about = load_weights(weights, model="sex-readers")
    version = load_weights(heads)[1]["version"]
    assert (about["first"], about["training_faces"], about["fitted_on"]) == (version, 120, 60)
    assert set(about["errors_on_validation"]) == {"heads", "dlib-resnet", "faceres", "together"}
    assert about["errors_on_validation"]["dlib-resnet"] <= 1  # bright and dark are easily told apart
    assert about["errors_on_validation"]["faceres"] <= 1
    assert list(about["sums"]) == ["dlib-resnet", "faceres", "dlib-resnet+faceres"]
    assert not any("age" in name for name in tensors)  # what only taught does not travel
    assert (tmp_path / "run" / "faceres-2" / "curves.png").stat().st_size > 1000

    # The same command with --resume is done already, another run of it gives the same weights, another seed others.
    before = weights.read_bytes()
    assert cli_here(*words, "--out", str(tmp_path / "run"), "--resume").exception is None
    assert weights.read_bytes() == before
    assert cli_here(*words, "--out", str(tmp_path / "again")).exception is None
    assert (tmp_path / "again" / "weights.safetensors").read_bytes() == before
    assert cli_here(*words[:-1], "4", "--out", str(tmp_path / "other")).exception is None
    assert (tmp_path / "other" / "weights.safetensors").read_bytes() != before

    # Looked at once, kept for the next time.
    for network, width in (("dlib-resnet", 5120), ("faceres", 9216)):
        kept = list((dest / "cache").glob(f"{network}-maps-both-*/*.npz"))
        assert kept
        with np.load(kept[0]) as file:
            assert file["values"].shape == (180, width)

    # One network alone.
    one = [*words, "--networks", "faceres", "--out", str(tmp_path / "one")]
    assert cli_here(*one).exception is None
    _, alone_about = load_weights(tmp_path / "one" / "weights.safetensors", model="sex-readers")
    assert list(alone_about["heads"]) == list(alone_about["sums"]) == ["faceres"]

    def examined(name: str, *words: str) -> dict:
        out = tmp_path / name
        done = cli_here("evaluate", "attributes", *vgg, "--weights", str(heads), "--out", str(out), *words)
        assert done.exception is None, done.exception
        return json.loads((out / "report.json").read_text())

    both, alone = examined("both", "--beside", str(weights)), examined("alone", "--alone")
    usual = examined("usual")  # the packaged readers are for other heads
    further = f"sex-readers-{about['version']}(dlib-resnet+faceres)"
    assert both["provenance"]["further readers of sex"] == further
    assert both["provenance"]["weights"] == f"{version}+{further}"
    assert alone["provenance"]["further readers of sex"] == usual["provenance"]["further readers of sex"] == "none"
    told = [{each["label"]: each["value"] for each in found["figures"]} for found in (both, alone)]
    assert told[0]["sex right, all faces of known sex"] > 0.95
    for label in told[1]:
        if not label.startswith("sex"):
            assert told[0][label] == told[1][label], label


def test_what_cannot_be_is_said_in_one_line(
    cli_here: Run,
    dest: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    done = cli_here("train", "sex", "--data", str(dest), "--out", str(tmp_path / "run"), "--batch", "0")
    assert isinstance(done.exception, RequestError)
    assert "--batch: 0 given" in str(done.exception)
    done = cli_here(
        "evaluate", "attributes", "--data", str(dest), "--out", str(tmp_path / "r"), "--beside", "x", "--alone"
    )
    assert "--beside: readers of sex given together with --alone" in str(done.exception)
    done = cli_here("train", "sex", "--data", str(dest), "--out", str(tmp_path / "run"), "--networks", "vgg")
    assert str(done.exception) == "--networks: 'vgg' given, allowed: dlib-resnet, faceres"
    done = cli_here("experiment", "sex", "--data", str(dest), "--out", str(tmp_path / "run"), "--networks", "")
    assert str(done.exception) == "--networks: '' given, allowed: dlib-resnet, faceres"


@pytest.mark.models
def test_a_photo_is_described_with_further_readers_and_without(
    cli_here: Run, models_cache: Path, made_faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not all(fetched(sight) for sight in SIGHTS):  # CI goes on without what npm carries
        pytest.skip("a network by which sex is read is absent; run: mien models fetch")
    rows = [json.loads(line) for line in (made_faces / "manifest.jsonl").read_text().splitlines()]
    adults = [row for row in rows if 30 <= row["age"] < 60][:6]
    photos = [str(made_faces / row["file"]) for row in adults]

    def described() -> list[dict]:
        done = cli_here("describe", "--json", *photos)
        assert done.exception is None, done.exception
        assert done.stderr == ""
        return [json.loads(line) for line in done.stdout.splitlines()]

    started = time.process_time()
    both = described()
    spent = time.process_time() - started
    others = SexReaders.load()
    heads = others.first
    assert {row["model_version"] for row in both} == {f"{heads}+{others.version}"}
    read = [row["faces"][0]["female"] > 0.5 for row in both]
    assert sum(yes == (row["sex"] == "female") for yes, row in zip(read, adults, strict=True)) >= 5
    assert spent / len(photos) < 2.5  # seconds with loading, on a busy machine; docs/describe.md has the figure

    there, gone = store.weights_path, {"faceres"}

    def absent(name: str) -> Path:
        if name in gone:
            raise WeightsError(f"the network '{name}' is not on this machine; run: mien models fetch {name}")
        return there(name)

    monkeypatch.setattr(store, "weights_path", absent)
    fewer = described()
    assert {row["model_version"] for row in fewer} == {f"{heads}+{others.version}".replace("+faceres", "")}
    gone.add("dlib-resnet")
    alone = described()
    assert {row["model_version"] for row in alone} == {heads}
    for one, two in zip(alone, both, strict=True):
        a, b = one["faces"][0], two["faces"][0]
        assert a["female"] != b["female"]
        assert {**a, "female": 0, "sex": 0, "sentence": 0, "groups": 0} == {
            **b, "female": 0, "sex": 0, "sentence": 0, "groups": 0,
        }  # fmt: skip
        assert {**a["groups"], "sex": 0} == {**b["groups"], "sex": 0}
