"""OUT is a transaction: held by one run, named by its manifest however the run ends, and resumed to the same faces."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crowd_tiny import write_tiny_weights

from mien.core.errors import RequestError
from mien.core.files import TEMPORARY, write_bytes
from mien.pipelines.faces_out import FACES, check_out, opened

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


def _hearing() -> None:
    """Whoever runs the tests may ignore signals (nohup, a job in the background), and a child inherits that."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)


def begun(out: Path, weights: Path, *, count: int = 5000, least: int = 70) -> subprocess.Popen[str]:
    """A crowd in a process of its own that has written ``least`` faces and goes on."""
    words = ["crowd", "--count", count, "--seed", 7, "--weights", weights, "--out", out]
    process = subprocess.Popen(
        [sys.executable, "-m", "mien", *map(str, words)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_hearing,
    )
    until = time.monotonic() + 60
    while not (out / "manifest.jsonl").exists() or len((out / "manifest.jsonl").read_bytes().splitlines()) < least:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)
    return process


def named(out: Path) -> list[str]:
    return [json.loads(line)["file"] for line in (out / "manifest.jsonl").read_text().splitlines()]


def pictures(out: Path) -> list[str]:
    return sorted(path.name for path in out.glob("*.png"))


@pytest.mark.parametrize("how", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_run_that_is_stopped_leaves_what_its_manifest_names(how: str, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = begun(out, weights)
    process.send_signal(getattr(signal, how))
    _, said = process.communicate(timeout=60)
    assert process.returncode == {"SIGTERM": 143, "SIGHUP": 129, "SIGINT": 130}[how]
    assert said.splitlines()[-1] == f"mien: stopped by {how}"
    assert "Traceback" not in said
    assert sorted(path.name for path in out.iterdir()) == sorted([*named(out), "manifest.jsonl"])


def test_a_killed_run_is_named_resumed_and_replaced(weights: Path, tmp_path: Path, cli: Cli) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    process = begun(out, weights, count=300)
    process.kill()
    process.communicate()
    assert set(pictures(out)) <= set(named(out))
    assert len(set(named(out)) - set(pictures(out))) <= 1  # between its row and its name
    before = {name: (out / name).stat().st_mtime_ns for name in pictures(out)}
    words = ("crowd", "--count", 300, "--weights", weights)
    refused = cli(*words, "--out", out)
    assert (refused.returncode, refused.stderr) == (
        2, f"mien: --out: {out} holds faces already; another directory, --resume or --force is wanted\n"
    )  # fmt: skip
    resumed = cli(*words, "--out", out, "--resume")  # the seed is that of the manifest
    assert resumed.returncode == 0, resumed.stderr
    assert f"(seed 7, {len(before)} were there)" in resumed.stdout
    assert all((out / name).stat().st_mtime_ns == at for name, at in before.items())
    assert cli(*words, "--out", whole, "--seed", 7).returncode == 0
    assert (out / "manifest.jsonl").read_text() == (whole / "manifest.jsonl").read_text()
    assert sorted(path.name for path in out.iterdir()) == sorted([*named(out), "manifest.jsonl"])
    process = begun(tmp_path / "more", weights)
    process.kill()
    process.communicate()
    replaced = cli("crowd", "--count", 2, "--weights", weights, "--out", tmp_path / "more", "--force")
    assert replaced.returncode == 0, replaced.stderr
    assert sorted(path.name for path in (tmp_path / "more").iterdir()) == ["00000.png", "00001.png", "manifest.jsonl"]


def test_one_run_at_a_time(weights: Path, tmp_path: Path, cli: Cli) -> None:
    process = begun(tmp_path, weights)
    try:
        for way in ("--force", "--resume"):
            done = cli("crowd", "--count", 2, "--weights", weights, "--out", tmp_path, way)
            busy = f"mien: --out: {tmp_path} is being written by another run of mien; another directory is wanted\n"
            assert (done.returncode, done.stdout, done.stderr) == (2, "", busy)
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
    assert cli("crowd", "--count", 2, "--weights", weights, "--out", tmp_path, "--force").returncode == 0


def test_faces_of_another_request_are_not_resumed(weights: Path, tmp_path: Path, cli: Cli) -> None:
    words = ("crowd", "--count", 3, "--weights", weights, "--out", tmp_path)
    assert cli(*words, "--seed", 1).returncode == 0
    before = (tmp_path / "manifest.jsonl").read_text()
    done = cli(*words, "--seed", 2, "--resume")
    assert done.returncode == 2
    assert f"--resume: {tmp_path} holds faces of another request (seed 1)" in done.stderr
    assert (tmp_path / "manifest.jsonl").read_text() == before
    both = cli(*words, "--force", "--resume")
    assert (both.returncode, both.stderr) == (2, "mien: --resume: given with --force; one of them is wanted\n")


def test_force_removes_what_is_ours_and_nothing_else(weights: Path, tmp_path: Path, cli: Cli) -> None:
    words = ("crowd", "--weights", weights, "--out", tmp_path)
    assert cli(*words, "--count", 3, "--sheet").returncode == 0
    (tmp_path / "mine.png").write_bytes(b"mine")
    (tmp_path / "00007.png").write_bytes(b"mine, too")
    (tmp_path / TEMPORARY.replace("*", "0123")).write_bytes(b"of a killed run")
    os.rename(tmp_path / "00002.png", tmp_path / "renamed.png")  # a face that no manifest names
    assert cli(*words, "--count", 1, "--force").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000.png", "00007.png", "manifest.jsonl", "mine.png"]


@pytest.mark.skipif(os.name == "nt", reason="no umask there")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_is_obeyed(mask: int, mode: int, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["crowd", "--count", "1", "--weights", str(weights), "--out", str(out), "--sheet"]
    subprocess.run([sys.executable, "-m", "mien", *words], check=True, umask=mask, capture_output=True)
    assert {path.name: path.stat().st_mode & 0o777 for path in out.iterdir()} == dict.fromkeys(
        ("00000.png", "manifest.jsonl", "sheet.png"), mode
    )
    assert out.stat().st_mode & 0o777 == 0o777 & ~mask


WAYS: tuple[tuple[Any, ...], ...] = (
    ("crowd",), ("imagine", "smiling"), ("portrait", "photo.jpg"), ("describe", "photo.jpg"),
)  # fmt: skip


@pytest.mark.parametrize("words", WAYS, ids=lambda words: str(words[0]))
def test_what_can_be_no_directory_is_refused_at_once(words: tuple[Any, ...], tmp_path: Path, cli: Cli) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(tmp_path / "nowhere")
    file.write_text("")
    for out, why in (
        (tmp_path / "face.png", "is the name of a picture"),
        (link, "is a link to nothing"),
        (file, "is a file"),
        (file / "out", "is a file"),
    ):
        done = cli(*words, "--out", out)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("mien: --out: ")
        assert f"{why}; a directory is wanted" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_what_cannot_be_loaded_leaves_no_directory(tmp_path: Path, cli: Cli) -> None:
    done = cli("crowd", "--weights", tmp_path / "none", "--out", tmp_path / "a" / "b")
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_rows_stand_in_order_whoever_is_first(tmp_path: Path) -> None:
    with opened(tmp_path / "out") as output:
        output.begin()
        output.put(1, {"file": "00001.png"}, b"b")
        assert pictures(tmp_path / "out") == []
        output.put(0, {"file": "00000.png"}, b"a")
        output.put(3, {"file": "00003.png"}, b"d")  # number 2 never comes: the run was stopped
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["00000.png", "00001.png", "manifest.jsonl"]
    assert named(tmp_path / "out") == ["00000.png", "00001.png"]


def test_a_manifest_that_was_cut_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    write_bytes(tmp_path / "00000.png", b"a")
    (tmp_path / "manifest.jsonl").write_text('{"file": "00000.png"}\n[1]\n{"file": "../../b.png"}\n{"file": "0000')
    with opened(tmp_path, resume=True) as output:
        assert output.earlier() == [{"file": "00000.png"}]


def test_a_folder_of_another_kind_is_asked_about(tmp_path: Path) -> None:
    (tmp_path / "holiday.png").write_bytes(b"x")
    with pytest.raises(RequestError, match="holds faces already"):
        check_out(tmp_path, kind=FACES)
