"""The painter's training set as a small folder that travels to another machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from imagine_tiny import AXES, tiny_density
from typer.testing import Result

from mien.core.errors import DatasetError, WeightsError
from mien.generators.painter.basis import PatchBasis
from mien.generators.painter.network import PainterConfig
from mien.generators.painter.renderer import PainterRenderer
from mien.generators.painter.scenes import fit_scenes
from mien.pipelines.train.begun import Begun, begun_with
from mien.pipelines.train.packed import CODE_STEP, FACES, is_packed, read_packed, write_packed
from mien.pipelines.train.prepared import Prepared, fingerprint, tokens_of
from mien.training.painter import PaintedSet

Run = Callable[..., Result]
SEEN, HELD = 20, 3
CONFIG = PainterConfig(
    size_px=32, patch_px=16, channels=12, code=AXES, conditions=3, sources=2, width=24, depth=1, heads=2, hidden=32
)


def crops_of(count: int) -> np.ndarray:
    """Smooth pictures, each of its own colours."""
    draws = torch.Generator().manual_seed(0)
    small = torch.rand(count, 3, 4, 4, generator=draws)
    large = torch.nn.functional.interpolate(small, size=(32, 32), mode="bicubic").clamp(0, 1)
    return (255 * large).permute(0, 2, 3, 1).numpy().astype(np.uint8)


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Prepared, np.ndarray, Begun]:
    """A training set of 20 faces and 3 held out, and a new painter."""
    draws, crops = np.random.default_rng(0), crops_of(SEEN + HELD)
    basis = PatchBasis(32, 16, 12)
    basis.fit(torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1)
    tokens = tokens_of(basis, crops, tmp_path / "run")
    codes = draws.standard_normal((SEEN + HELD, AXES)).astype(np.float16)
    conditions = draws.standard_normal((SEEN + HELD, 3)).astype(np.float32)
    conditions[4, 1] = np.nan
    valid = draws.uniform(0, 1, (SEEN + HELD, 4)).astype(np.float32)
    source = np.arange(SEEN + HELD) % 2

    def part(rows: slice, share: np.ndarray | None) -> PaintedSet:
        return PaintedSet(tokens[rows], codes[rows], conditions[rows], valid[rows], source[rows], share)

    seen = part(slice(0, SEEN), np.linspace(1, 2, SEEN))
    scale = {"sharpness": (4.0, 1.0), "grey": (0.1, 0.3), "age": (0.3, 0.2)}
    several = {"sharpness": draws.standard_normal(200).astype(np.float32)}
    lenders = {"studio": range(100), "natural": range(100, 200)}
    known = draws.standard_normal((200, AXES)).astype(np.float32)
    scenes = fit_scenes(known, several, np.full(200, 30, np.float32), [0] * 200, lenders)
    density = tiny_density()
    prepared = Prepared(seen, part(slice(SEEN, None), None), scale, ("lfw", "ffhq"), basis, density, scenes)
    return prepared, crops, prepared.new(CONFIG, 0)


def test_what_is_packed_is_read_again(packed: tuple[Prepared, np.ndarray, Begun], tmp_path: Path) -> None:
    prepared, crops, begun = packed
    assert write_packed(prepared, crops, tmp_path / "packed", begun, 8) == SEEN
    again, network = read_packed(tmp_path / "packed", tmp_path / "other")
    assert (again.sources, again.scale, network.images) == (prepared.sources, prepared.scale, 0)
    assert network.config == CONFIG
    held, before = again.held_out.rows(np.arange(HELD)), prepared.held_out.rows(np.arange(HELD))
    assert np.abs(held["codes"] - before["codes"]).max() <= CODE_STEP / 2 + 1e-3
    assert np.allclose(held["conditions"], before["conditions"], atol=2e-3)
    assert np.abs(held["valid"] - before["valid"]).max() < 0.003
    assert held["source"].tolist() == before["source"].tolist()
    pictures = [
        faces.basis.decode(torch.from_numpy(rows["tokens"])) for faces, rows in ((prepared, before), (again, held))
    ]
    assert float((pictures[0] - pictures[1]).square().mean().sqrt()) * 127.5 < 8
    # The faces that teach come in another order, as often as before, with what is unknown unknown.
    shares = [np.sort(np.diff(one.seen.sums, prepend=0)) for one in (prepared, again)]
    assert np.allclose(shares[0], shares[1])
    assert np.isnan(again.seen.conditions).sum() == 1
    assert fingerprint(again) != fingerprint(replace_first_code(again))


def replace_first_code(prepared: Prepared) -> Prepared:
    """The same with another code."""
    codes = prepared.seen.codes.copy()
    codes[0] += 1
    seen = prepared.seen
    other = PaintedSet(seen.tokens, codes, seen.conditions, seen.valid, seen.source, np.diff(seen.sums, prepend=0))
    return Prepared(
        other, prepared.held_out, prepared.scale, prepared.sources, prepared.basis, prepared.density, prepared.scenes
    )


def test_as_many_travel_as_there_is_room_for(packed: tuple[Prepared, np.ndarray, Begun], tmp_path: Path) -> None:
    prepared, crops, begun = packed
    write_packed(prepared, crops, tmp_path / "all", begun, 8)
    whole = sum(path.stat().st_size for path in (tmp_path / "all").iterdir())
    room = (whole - 3000) / (1 << 20)
    count = write_packed(prepared, crops, tmp_path / "some", begun, room)
    assert 0 < count < SEEN
    again, _ = read_packed(tmp_path / "some", tmp_path / "read")
    assert (len(again.seen), len(again.held_out)) == (count, HELD)
    with pytest.raises(DatasetError, match="no training face fits into so many MiB"):
        write_packed(prepared, crops, tmp_path / "some", begun, 0.001)
    assert not is_packed(tmp_path / "some"), "what is not whole is not taken for whole"


def test_training_on_a_packed_folder_and_going_on_with_another_painter(
    packed: tuple[Prepared, np.ndarray, Begun], tmp_path: Path, cli_here: Run
) -> None:
    prepared, crops, begun = packed
    write_packed(prepared, crops, tmp_path / "packed", begun, 8)
    words = (
        "train",
        "painter",
        "--data",
        str(tmp_path / "packed"),
        "--batch",
        "4",
        "--threads",
        "1",
        "--precision",
        "fp32",
        "--set",
        "restless=0",
    )
    done = cli_here(*words, "--out", str(tmp_path / "a"), "--steps", "3")
    assert done.exit_code == 0, done.output
    first = begun_with(tmp_path / "a")
    assert first.images == 12
    assert PainterRenderer.load(tmp_path / "a" / "painter.safetensors").sources == ["lfw", "ffhq"]
    done = cli_here(*words, "--out", str(tmp_path / "b"), "--steps", "2", "--from", str(tmp_path / "a"))
    assert done.exit_code == 0, done.output
    assert begun_with(tmp_path / "b").images == 20
    stopped = cli_here(*words, "--out", str(tmp_path / "c"), "--steps", "3", "--minutes", "0")
    assert "--resume goes on" in str(stopped.exception)
    assert cli_here(*words, "--out", str(tmp_path / "c"), "--steps", "3", "--resume").exit_code == 0
    few = cli_here(*words, "--set", "restless=3", "--out", str(tmp_path / "few"))
    assert "restless: allowed are 0 (none), and 100 faces and more, given 3" in str(few.exception)
    refused = cli_here("train", "painter", "--data", str(tmp_path), "--out", str(tmp_path / "d"))
    assert "no prepared dataset" in str(refused.exception)
    data = (tmp_path / "packed" / FACES).read_bytes()
    (tmp_path / "packed" / FACES).write_bytes(data[: len(data) // 2])
    assert isinstance(cli_here(*words, "--out", str(tmp_path / "e")).exception, WeightsError)
