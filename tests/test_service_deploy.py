"""The container and the unit start what exists, with options that exist, and not as root."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
DEPLOY = CHECKOUT / "deploy"


def serve_words() -> dict[str, list[str]]:
    unit = re.search(r"^ExecStart=\S+/mien (.*)$", (DEPLOY / "mien.service").read_text(), re.M)
    docker = re.search(r"^CMD (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.M)
    assert unit is not None
    assert docker is not None
    return {"mien.service": unit[1].split(), "Dockerfile": json.loads(docker[1])[1:]}


@pytest.mark.parametrize("file", ["mien.service", "Dockerfile"])
def test_options_exist(file: str) -> None:
    import typer.main

    from mien.apps.cli import app

    command = typer.main.get_command(app).commands["serve"]
    known = {option for parameter in command.params for option in parameter.opts}
    words = serve_words()[file]
    assert words[0] == "serve"
    assert {word for word in words if word.startswith("--")} <= known


def test_others_are_asked_for_a_key() -> None:
    words = serve_words()
    assert "--keys" in words["Dockerfile"]
    assert words["mien.service"][words["mien.service"].index("--host") + 1] == "127.0.0.1"


def test_nothing_runs_as_root() -> None:
    docker = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^USER mien$", docker, re.M)
    assert docker.index("USER mien") < docker.index("\nCMD ")
    assert "DynamicUser=yes" in (DEPLOY / "mien.service").read_text()


def test_the_container_copies_what_is_there_and_the_extra_exists() -> None:
    docker = (DEPLOY / "Dockerfile").read_text()
    copied = re.search(r"^COPY (constraints.*) \./$", docker, re.M)
    assert copied is not None
    assert all((CHECKOUT / name).is_file() for name in copied[1].split())
    assert "\nservice = [" in (CHECKOUT / "pyproject.toml").read_text()


def test_the_unit_waits_longer_than_the_service() -> None:
    from mien.apps.web.settings import ServiceSettings

    stop = re.search(r"^TimeoutStopSec=(\d+)$", (DEPLOY / "mien.service").read_text(), re.M)
    assert stop is not None
    assert int(stop[1]) > ServiceSettings().stop_seconds
