"""`mien train enlarger` from the command line: a run on a small dataset with detail, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from crowd_tiny import write_tiny_weights
from torch import Tensor, nn
from typer.testing import Result

import mien.datasets.batches
import mien.datasets.features
import mien.datasets.patches
import mien.faces.encoder
from mien.core.errors import RequestError, TrainingError
from mien.core.images import to_tensor
from mien.core.seeding import stream
from mien.datasets.patches import Detailed
from mien.generators.enlarger import Enlarger

Run = Callable[..., Result]


class StubNetwork(nn.Module):
    """One map from one convolution."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images: Tensor, taps: Any) -> dict[str, Tensor]:
        return dict.fromkeys(taps, self.conv(images))


class StubEncoder:
    network = StubNetwork()


class StubData:
    stored_size = 256

    def fingerprint(self) -> str:
        return "stub"


@pytest.fixture(name="small")
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[str, ...]:
    """A dataset of two faces, an encoder of one layer, and a tiny crowd."""
    faces = tuple(stream(0, "faces").integers(0, 256, (2, 256, 256, 3)).astype(np.uint8))
    seen = Detailed(faces, tuple(np.ones((32, 32), bool) for _ in faces))
    monkeypatch.setattr(mien.datasets.batches.FaceDataset, "open", lambda dest: StubData())
    monkeypatch.setattr(mien.datasets.patches, "detailed_rows", lambda data, split, rules, seed: np.arange(2))
    monkeypatch.setattr(mien.datasets.patches, "detailed", lambda data, rows, on_progress=None: seen)
    monkeypatch.setattr(mien.faces.encoder, "load_encoder", lambda name: StubEncoder())
    (tmp_path / "catalog.parquet").touch()  # all that is looked for before the stub is opened
    crowd = write_tiny_weights(tmp_path / "crowd.safetensors")
    return "--data", str(tmp_path), "--set", f"crowd={crowd}", "--batch", "2", "--threads", "1", "--precision", "fp32"


def test_a_run_its_weights_and_one_that_goes_on(cli_here: Run, small: tuple[str, ...], tmp_path: Path) -> None:
    # The tiny crowd draws 32 px: patches of 96 want 48, so it is left out here.
    words = ("train", "enlarger", *small, "--set", "drawn=0")
    first = tmp_path / "first"
    done = cli_here(*words, "--out", str(first), "--steps", "2")
    assert done.exit_code == 0, done.output
    enlarger = Enlarger.load(first / "weights.safetensors")
    assert enlarger.enlarge(torch.zeros(1, 3, 16, 16)).shape == (1, 3, 32, 32)
    assert list((first / "previews").iterdir())

    again = cli_here(*words, "--out", str(first), "--steps", "2")
    assert "continue with --resume" in str(again.exception)
    assert cli_here(*words, "--out", str(first), "--steps", "2", "--resume").exit_code == 0

    stopped = cli_here(*words, "--out", str(tmp_path / "next"), "--steps", "3", "--minutes", "0", "--from", str(first))
    assert isinstance(stopped.exception, TrainingError)
    assert "--resume goes on" in str(stopped.exception)


def test_what_cannot_be_is_refused(cli_here: Run, tmp_path: Path) -> None:
    words = ("train", "enlarger", "--data", str(tmp_path), "--out", str(tmp_path / "run"))
    for option in ("--steps", "--batch", "--threads"):
        refused = cli_here(*words, option, "0")
        assert isinstance(refused.exception, RequestError)
        assert f"{option}: 0 given, allowed are 1 and more" in str(refused.exception)
    assert "no prepared dataset" in str(cli_here(*words).exception)
    assert not (tmp_path / "run").exists()


def test_the_painters_finisher_learns_from_photographs_that_it_paints_over(
    cli_here: Run, small: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = stream(1, "faces").integers(0, 256, (2, 256, 256, 3)).astype(np.uint8)
    pooled = stream(1, "pooled").standard_normal((2, 1792)).astype(np.float16)
    monkeypatch.setattr(StubData, "decoded", lambda self, rows: faces[: len(rows)], raising=False)
    monkeypatch.setattr(mien.datasets.features, "features", lambda *words, **named: pooled)
    words = [word for word in small if not word.startswith("crowd=")]
    words.remove("--set")
    run = tmp_path / "finisher"
    words += ["--set", "of_each=2", "--set", "sources=ffhq,london"]
    monkeypatch.setattr("mien.training.enlarger.CRITIC_CHANNELS", {"2b": 4})  # what the stub of an encoder has
    done = cli_here("train", "enlarger", "--preset", "painter", *words, "--out", str(run), "--steps", "2")
    assert done.exit_code == 0, done.output
    painted, photographs = (np.load(next(run.glob(f"{what}-*.npy"))) for what in ("painted", "photographs"))
    assert np.array_equal(photographs, faces)
    assert painted.shape == (2, 128, 128, 3)
    enlarger = Enlarger.load(run / "weights.safetensors")
    assert enlarger.network.config.fine_channels > 0
    assert enlarger.enlarge(to_tensor(painted[:1])).shape == (1, 3, 256, 256)
    refused = cli_here("train", "enlarger", "--preset", "painter", *words, "--out", str(run), "--set", "crowd=x")
    assert "crowd" in str(refused.exception)
