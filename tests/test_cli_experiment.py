"""`mien experiment`: each command on a small dataset of drawn crops and a narrow VGG-Face, and its refusals."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import Result

from mien.core.errors import RequestError, TooFewError
from mien.core.images import encode_jpeg
from mien.datasets import catalog
from mien.evaluation.experiments.rates import RateRun, _said, best_of
from mien.evaluation.experiments.unfreezing import Curve, Unfrozen
from mien.faces import encoder as encoders
from mien.faces.encoder import VggFaceEncoder
from mien.pretrained.vggface import VggFace, Widths

RANDOM = np.random.default_rng(8)
SPLITS = ("train", "train", "validation", "test")
PX = 48
Run = Callable[..., Result]


def face(number: int) -> tuple[catalog.CatalogRow, bytes]:
    """A face of one of 80 people, three photos each: a colour that tells the person, brighter for a man."""
    person = number // 3
    male = (person // 4) % 2 == 0
    colour = np.random.default_rng(person).integers(20, 120, 3) + 100 * male
    crop = np.clip(colour + RANDOM.normal(0, 12, (PX, PX, 3)), 0, 255).astype(np.uint8)
    row = catalog.CatalogRow(
        id=f"lfw:{number}", source="lfw", key=str(number), licence="", sha256=f"{number:064d}",
        person=f"person {person}", sex="male" if male else "female",
        attributes_present=("Male", "Frowning") if male else ("Smiling",),
        attributes_absent=("Smiling", "Bald") if male else ("Male", "Frowning", "Bald"),
        absent_is_sure=False, photo_width=PX, photo_height=PX, transform=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        group=f"g{person}", split=SPLITS[person % 4], shard=catalog.shard_name("lfw", 0), row_in_shard=number,
    )  # fmt: skip
    return row, encode_jpeg(crop)


@pytest.fixture(scope="module")
def dest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 faces of 80 people."""
    folder = tmp_path_factory.mktemp("experiment")
    rows, crops = zip(*(face(number) for number in range(240)), strict=True)
    catalog.write_shard(folder, catalog.shard_name("lfw", 0), [row.id for row in rows], list(crops))
    catalog.write_catalog(folder, rows)
    catalog.write_manifest(folder, {"version": catalog.VERSION, "complete": True, "crop": {"size_px": PX}})
    return folder


@pytest.fixture
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


def report_of(out: Path) -> dict[str, object]:
    assert (out / "report.html").is_file()
    found: dict[str, object] = json.loads((out / "report.json").read_text())
    for part in found["sections"]:  # type: ignore[attr-defined]
        for picture in part["pictures"]:
            assert (out / picture["file"]).is_file()
    return found


def figures_of(out: Path) -> dict[tuple[str, str], float]:
    return {(f["label"], f["subject"]): f["value"] for f in report_of(out)["figures"]}  # type: ignore[attr-defined]


def done(result: Result) -> None:
    assert result.exception is None, result.exception
    assert result.exit_code == 0


def test_distribution(cli_here: Run, dest: Path, tmp_path: Path) -> None:
    done(cli_here("experiment", "distribution", "--data", dest, "--out", tmp_path / "a"))
    rows = report_of(tmp_path / "a")["sections"][0]["tables"][0]["rows"]  # type: ignore[index]
    assert {row[0] for row in rows} == {"Male", "Smiling", "Frowning", "Bald"}
    assert next(row for row in rows if row[0] == "Bald")[1:] == [0, 0, 0, "0.0 %"]
    again = cli_here("experiment", "distribution", "--data", dest, "--out", tmp_path / "a")
    assert isinstance(again.exception, RequestError)
    done(cli_here("experiment", "distribution", "--data", dest, "--out", tmp_path / "a", "--force"))


@pytest.mark.usefixtures("narrow")
def test_tsne(cli_here: Run, dest: Path, tmp_path: Path) -> None:
    words = ("experiment", "tsne", "--data", dest, "--encoder", "vgg-face", "--perplexity", 8, "--neighbours", 5)
    done(cli_here(*words, "--out", tmp_path / "a"))
    figures = figures_of(tmp_path / "a")
    assert figures["Mean purity", "features"] > 0.7 > 0.6 > figures["Mean purity", "shuffled labels"]
    assert "80 faces at `fc7`" in str(report_of(tmp_path / "a")["summary"])  # one of each person
    done(cli_here(*words, "--out", tmp_path / "b"))
    assert figures == figures_of(tmp_path / "b")


@pytest.mark.usefixtures("narrow")
def test_activations(cli_here: Run, dest: Path, tmp_path: Path) -> None:
    words = ("experiment", "activations", "--data", dest, "--encoder", "vgg-face", "--layer", "fc8", "--layer", "fc6")
    done(cli_here(*words, "--attribute", "man", "--out", tmp_path / "a"))
    titles = [part["title"] for part in report_of(tmp_path / "a")["sections"]]  # type: ignore[attr-defined]
    assert "Elements of fc8" in titles
    assert "Every attribute at fc6" in titles
    assert ("Male: elements not normal, Anderson-Darling", "fc6") in figures_of(tmp_path / "a")
    bald = cli_here(*words, "--attribute", "Bald", "--out", tmp_path / "b")
    assert isinstance(bald.exception, TooFewError)
    for word in ("woman", "Male,Bald"):
        wrong = cli_here(*words, "--attribute", word, "--out", tmp_path / "b")
        assert f"--attribute: '{word}' given" in str(wrong.exception)
    wrong = cli_here(*words, "--layer", "fc9", "--out", tmp_path / "b")
    assert "'fc9' given; vgg-face has conv1_1" in str(wrong.exception)


@pytest.mark.usefixtures("narrow")
def test_verification(cli_here: Run, dest: Path, tmp_path: Path) -> None:
    words = ("experiment", "verification", "--data", dest, "--encoder", "vgg-face", "--folds", 2, "--pairs", 40)
    done(cli_here(*words, "--layer", "conv1_1", "--out", tmp_path / "a"))  # 5 channels of colour tell these people
    assert figures_of(tmp_path / "a")["Accuracy, mean of 2 folds", "one view"] > 0.6
    wrong = cli_here(*words, "--source", "utkface", "--out", tmp_path / "b")
    assert "no face of 'utkface' with a person's name" in str(wrong.exception)


@pytest.mark.usefixtures("narrow")
def test_a_sweep_of_rates_names_the_best_and_the_diverged(cli_here: Run, dest: Path, tmp_path: Path) -> None:
    words = ("experiment", "unfreezing", "--data", dest, "--encoder", "vgg-face", "--layer", "conv5_1", "--steps", 6,
             "--batch", 8, "--judged", 30, "--out", tmp_path / "a")  # fmt: skip
    wrong = cli_here(*words, "--rate", "1e-3")
    assert "--rate: 1 rates and 1 layers given; a sweep wants two different rates or more" in str(wrong.exception)
    wrong = cli_here(*words, "--rate", "1e-3", "--rate", "-1")
    assert "--rate: -1 given; allowed are rates above 0" in str(wrong.exception)
    told = cli_here(*words, "--rate", "1e-30", "--rate", "1e-2", "--rate", "1e38")
    done(told)
    assert "heads only: best at 0.01 (held-out loss" in told.output
    found = report_of(tmp_path / "a")
    heads, deep = found["sections"][1:]  # type: ignore[index]
    assert [section["title"] for section in (heads, deep)] == ["Heads only", "From conv5_1"]
    rows = heads["tables"][0]["rows"]
    assert [row[0] for row in rows] == ["1e-30", "0.01", "1e+38"]
    assert [row[-1] for row in rows] == ["", "best", ""]
    assert rows[2][2] == "not finite"
    assert float(rows[1][2]) < float(rows[0][2])  # at a rate of nothing, nothing is learnt
    assert {path.name for path in (tmp_path / "a").glob("*.png")} == {
        "loss-by-rate.png", "curves-heads-only.png", "curves-from-conv5-1.png",
    }  # fmt: skip


def test_the_best_rate_at_an_end_of_the_range_is_said_to_be_so() -> None:
    def at(rate: float, *losses: float) -> RateRun:
        nobody = np.zeros((0, 0), np.float32)
        run = Unfrozen("x", 1, 8, 1.0, Curve((), ()), Curve((1.0,) * len(losses), losses), nobody, nobody)
        return RateRun("heads only", rate, run if losses else None)

    assert best_of([at(1.0), at(0.1, 0.9, 0.4), at(0.01, 0.4)]).rate == 0.01  # equal: the lower; diverged: last
    assert _said("x", [at(0.1, 0.3), at(0.01, 0.4), at(1.0, 0.5)]) == "x: best at 0.1 (held-out loss 0.300)."
    assert "best at 0.1, the highest tried: the best may lie beyond" in _said("x", [at(0.1, 0.3), at(0.01, 0.4)])
    assert _said("x", [at(1.0), at(2.0)]) == "x: every rate diverged; try lower ones."


@pytest.mark.usefixtures("narrow")
def test_unfreezing_trains_and_goes_on(cli_here: Run, dest: Path, tmp_path: Path) -> None:
    words = ("experiment", "unfreezing", "--data", dest, "--encoder", "vgg-face", "--layer", "fc7", "--layer",
             "conv5_1", "--steps", 6, "--batch", 8, "--judged", 30, "--out", tmp_path / "a")  # fmt: skip
    wrong = cli_here(*words[:6], "--layer", "fc8", "--out", tmp_path / "a")  # after what the heads stand on
    assert "no layer of vgg-face from 'fc8' on" in str(wrong.exception)
    assert not (tmp_path / "a").exists()
    done(cli_here(*words))
    runs = sorted(path.name for path in (tmp_path / "a" / "runs").iterdir())
    assert runs == ["from-conv5_1", "from-conv5_1-rate-x-0.8-a-layer", "from-fc7", "heads-only"]
    assert not list((tmp_path / "a" / "runs").glob("*/checkpoints"))
    found = report_of(tmp_path / "a")
    losses = found["sections"][0]["tables"][0]["rows"]  # type: ignore[index]
    learnt = [int(str(row[1]).replace(",", "")) for row in losses]
    assert learnt[0] < learnt[1] < learnt[2] == learnt[3]  # heads, with fc7, with conv5_1 and on
    assert len({row[3] for row in losses}) > 1  # what learns makes a difference
    assert {row[2] for row in losses} == {48}
    first = figures_of(tmp_path / "a")
    shutil.rmtree(tmp_path / "a" / "runs" / "from-fc7")
    kept = (tmp_path / "a" / "runs" / "from-conv5_1" / "said.npz").stat().st_mtime_ns
    done(cli_here(*words, "--force"))
    assert figures_of(tmp_path / "a") == first  # the run made again is the run
    assert (tmp_path / "a" / "runs" / "from-conv5_1" / "said.npz").stat().st_mtime_ns == kept
