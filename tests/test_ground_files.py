"""Nothing half-written, weights that say what they are, configurations that refuse nonsense."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from mien.core import checkpoints, files
from mien.core.checkpoints import load_into, load_weights, save_weights
from mien.core.config import Config
from mien.core.errors import RequestError, WeightsError

META = {"model": "tiny", "version": "1"}


# files


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.txt"
    files.write_text(target, "old")

    def full_disk(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(target, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_file_size_limit_leaves_the_old_file_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    script = f"""
import resource, signal
from mien.core.files import write_bytes
write_bytes({str(target)!r}, b"old")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write_bytes({str(target)!r}, b"x" * 5000)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    assert target.read_bytes() == b"old"


def test_folders_are_made_and_readers_see_the_old_or_the_new(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "c.json"
    files.write_json(target, {"z": 1, "a": "ü"})
    assert target.read_text(encoding="utf-8") == '{\n  "z": 1,\n  "a": "ü"\n}\n'
    with target.open() as reader:
        files.write_json(target, {})
        assert json.load(reader) == {"z": 1, "a": "ü"}
    assert json.loads(target.read_text()) == {}


def test_a_folder_in_the_way_is_an_error_that_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="a"):
        files.write_text(tmp_path / "a", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_never_holds_what_json_does_not_know(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "a.json", {"x": value})
    assert not list(tmp_path.iterdir())


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.text(), st.one_of(st.none(), st.booleans(), st.integers(), st.text())), max_size=5))
def test_json_lines_are_read_back_whole(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "rows.jsonl"
    files.write_jsonl(path, rows)
    text = path.read_bytes().decode()
    assert text.count("\n") == len(rows)
    assert [json.loads(line) for line in text.split("\n")[:-1]] == rows


def test_a_file_name_that_is_no_text_can_be_written_down(tmp_path: Path) -> None:
    name = os.fsdecode(b"photo-\xff.jpg")
    files.write_jsonl(tmp_path / "a.jsonl", [{"file": name}])
    assert json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8"))["file"] == name


# checkpoints


def test_weights_come_back_as_they_went(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(3, 4, generator=torch.Generator().manual_seed(1)),
        "count": torch.tensor(7),
        "turned": torch.arange(6.0).reshape(2, 3).T,
    }
    save_weights(tmp_path / "w.safetensors", tensors, {**META, "mean": [0.5, 1], "name": "ü"})
    back, metadata = load_weights(tmp_path / "w.safetensors", model="tiny")
    assert metadata == {**META, "mean": [0.5, 1], "name": "ü"}
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) and back[name].dtype == tensors[name].dtype for name in tensors)
    save_weights(tmp_path / "again.safetensors", tensors, {**META, "mean": [0.5, 1], "name": "ü"})
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "w.safetensors").read_bytes()


def test_half_precision_goes_out_and_comes_back_as_float32(tmp_path: Path) -> None:
    save_weights(
        tmp_path / "w", {"a": torch.tensor([0.1, 2.0]), "n": torch.tensor([70_000])}, META, dtype=torch.float16
    )
    stored, _ = load_weights(tmp_path / "w", dtype=None)
    assert (stored["a"].dtype, stored["n"].item()) == (torch.float16, 70_000)
    back, _ = load_weights(tmp_path / "w")
    assert back["a"].dtype == torch.float32
    torch.testing.assert_close(back["a"], torch.tensor([0.1, 2.0]), atol=1e-4, rtol=0)


def test_a_value_that_half_precision_cannot_hold_is_not_lost_in_silence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"'a' has values beyond the range of torch\.float16"):
        save_weights(tmp_path / "w", {"a": torch.tensor([70_000.0])}, META, dtype=torch.float16)
    assert not list(tmp_path.iterdir())


def test_tensors_that_share_memory_are_stored_apart(tmp_path: Path) -> None:
    whole = torch.arange(8.0)
    save_weights(tmp_path / "w", {"whole": whole, "part": whole[2:4], "same": whole}, META)
    back, _ = load_weights(tmp_path / "w")
    assert back["part"].tolist() == [2, 3]
    assert torch.equal(back["same"], whole)


@pytest.mark.parametrize("absent", ["model", "version"])
def test_weights_must_say_what_they_are(tmp_path: Path, absent: str) -> None:
    with pytest.raises(WeightsError, match=f"must name '{absent}'"):
        save_weights(tmp_path / "w", {}, {key: "x" for key in META if key != absent})


def foreign_files() -> dict[str, tuple[bytes, str]]:
    good = save({"a": torch.ones(50)}, metadata={"mien": json.dumps(META)})
    return {
        "empty": (b"", "not a readable safetensors file"),
        "text": (b"hello, I am a pickle", "not a readable safetensors file"),
        "cut short": (good[:-7], "not a readable safetensors file"),
        "another's": (save({"a": torch.ones(1)}), "not one that mien wrote"),
        "metadata is no JSON": (save({"a": torch.ones(1)}, metadata={"mien": "{"}), "its metadata is not JSON"),
        "metadata is a list": (save({"a": torch.ones(1)}, metadata={"mien": "[]"}), "not a JSON object"),
        "another model": (good.replace(b"tiny", b"tidy"), "weights of 'tidy', wanted 'tiny'"),
    }


@pytest.mark.parametrize("name", foreign_files())
def test_what_is_not_the_weights_wanted_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    data, message = foreign_files()[name]
    (tmp_path / "w.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match=message) as caught:
        load_weights(tmp_path / "w.safetensors", model="tiny")
    assert "w.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(WeightsError, match="no such weights file"):
            load_weights(path)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    payload = b"cposix\nsystem\n(S'touch " + str(mark).encode() + b"'\ntR."
    (tmp_path / "evil.pt").write_bytes(payload)
    with pytest.raises(WeightsError):
        load_weights(tmp_path / "evil.pt")
    assert not mark.exists()
    assert not hasattr(checkpoints, "pickle")


def test_loading_into_a_module_is_strict() -> None:
    module = torch.nn.Linear(2, 1)
    load_into(module, {"weight": torch.tensor([[3.0, 4.0]]), "bias": torch.tensor([5.0])}, name="tiny")
    assert module(torch.tensor([[1.0, 1.0]])).item() == 12
    with pytest.raises(WeightsError, match=r"tiny: missing tensors \['bias'\], unknown tensors \['bios'\]"):
        load_into(module, {"weight": torch.zeros(1, 2), "bios": torch.zeros(1)}, name="tiny")
    with pytest.raises(WeightsError, match="tiny: size mismatch for weight") as caught:
        load_into(module, {"weight": torch.zeros(2, 2), "bias": torch.zeros(1)}, name="tiny")
    assert "\n" not in str(caught.value)


# config


class Adam(Config):
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)


class Run(Config):
    preset: Literal["paper", "mien"] = "mien"
    steps: int = 10
    adam: Adam = Adam()


def test_a_configuration_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    run = Run(preset="paper", adam=Adam(learning_rate=5e-4))
    run.write(tmp_path / "run.json")
    assert Run.read(tmp_path / "run.json") == run
    with pytest.raises(Exception, match="frozen"):
        run.steps = 11  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stpes": 3}, "run: stpes: Extra inputs are not permitted; allowed keys: preset, steps, adam"),
        ({"adam": {"lr": 3}}, "run: adam.lr: Extra inputs are not permitted; allowed keys: learning_rate, betas"),
        ({"preset": "big"}, "run: preset: Input should be 'paper' or 'mien', given 'big'"),
        (
            {"adam": {"learning_rate": float("nan")}},
            "run: adam.learning_rate: Input should be a finite number, given nan",
        ),
        ({"steps": [1] * 9999}, r"run: steps: Input should be a valid integer, given \[1, 1, 1, 1, 1, 1, ...\]"),
    ],
)
def test_a_wrong_key_or_value_is_one_line(values: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=f"^{message}$"):
        Run.make(values, where="run")


@pytest.mark.parametrize("data", [b"", b"{", b"[1, 2]", b"\xff\xfe", b'{"steps": NaN}'])
def test_a_damaged_configuration_names_its_file(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "run.json").write_bytes(data)
    with pytest.raises(RequestError, match="run.json") as caught:
        Run.read(tmp_path / "run.json")
    assert "\n" not in str(caught.value)
    with pytest.raises(RequestError, match="none.json"):
        Run.read(tmp_path / "none.json")
