"""Every preset of every training: what it does not use is refused before anything is loaded, what it uses arrives."""

from __future__ import annotations

import re
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest
import typer.main

from mien.apps.cli import app
from mien.attributes import NAMES
from mien.core.errors import RequestError
from mien.datasets.sources import SOURCES
from mien.pipelines.train import presets
from mien.pipelines.train.request import Trained, TrainRequest

VALUES: dict[str, Any] = {
    "resume": True, "steps": 3, "batch": 32, "seed": 5, "threads": 1, "device": "cpu", "precision": "fp32",
    "minutes": 2.0, "start_from": Path(__file__).parent,
}  # fmt: skip
EVERY = [(model, name) for model, found in presets.PRESETS.items() for name in found]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[TrainRequest]:
    """The requests that arrive, instead of a training."""
    found: list[TrainRequest] = []

    def run(self: presets.Preset, request: TrainRequest) -> Trained:
        found.append(request)
        return Trained(None)

    monkeypatch.setattr(presets.Preset, "run", run)
    return found


@pytest.mark.parametrize(("model", "name"), EVERY)
@pytest.mark.parametrize("option", sorted(VALUES))
def test_an_option_arrives_or_is_refused(asked: list[TrainRequest], model: str, name: str, option: str) -> None:
    given = {option: VALUES[option]}
    if option in presets.PRESETS[model][name].options:
        presets.train(model, name, data=Path("d"), out=Path("o"), **given)
        assert asked[0].given() == given
        return
    flag = f"--{'from' if option == 'start_from' else option}"
    with pytest.raises(RequestError, match=f"^{flag}: preset '{name}' of {model} does not use it; it uses --data"):
        presets.train(model, name, data=Path("d"), out=Path("o"), **given)
    assert not asked


def test_a_run_to_start_from_must_be_there(asked: list[TrainRequest]) -> None:
    with pytest.raises(RequestError, match="^--from: nowhere given; there is no such directory"):
        presets.train("portrait", "mien", data=Path("d"), out=Path("o"), start_from=Path("nowhere"))
    assert not asked


@pytest.mark.parametrize(("model", "name"), EVERY)
def test_every_setting_arrives_and_no_other(asked: list[TrainRequest], model: str, name: str) -> None:
    kind = presets.PRESETS[model][name].settings
    words = {"bool": "yes", "tuple[float, float]": "1,2", "tuple[str, ...]": "Eyeglasses", "int": "128", "float": "0.5",
             "typing.Literal": ""}  # fmt: skip
    for field, about in kind.model_fields.items():
        default, typed = about.default, str(about.annotation).replace("<class '", "").replace("'>", "")
        text = (
            "no" if default is True else next((word for name, word in words.items() if typed.startswith(name)), "run")
        )
        text = text or str(typing.get_args(about.annotation)[-1])
        asked.clear()
        presets.train(model, name, data=Path("d"), out=Path("o"), said=[f"{field}={text}"])
        assert getattr(asked[0].settings, field) != default, field
    with pytest.raises(RequestError, match=r"^--set: 'no_such=1' given; ") as refused:
        presets.train(model, name, data=Path("d"), out=Path("o"), said=["no_such=1"])
    assert all(field in str(refused.value) for field in kind.model_fields)


@pytest.mark.parametrize(("model", "name"), EVERY)
def test_its_function_is_there(model: str, name: str) -> None:
    import importlib

    module, _, function = presets.PRESETS[model][name].function.partition(":")
    assert callable(getattr(importlib.import_module(f"mien.pipelines.train.{module}"), function))


def test_a_refusal_loads_nothing_heavy() -> None:
    script = (
        "import sys\nfrom mien.apps.cli import app\n"
        "try:\n    app(['train', 'portrait', '--data', 'd', '--out', 'o', '--steps', '3'], standalone_mode=False)\n"
        "except Exception as error:\n    assert 'does not use it' in str(error), error\n"
        "sys.exit(','.join(m for m in ('torch', 'cv2', 'scipy', 'polars') if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_readmes_table_has_every_command_and_how_many_formats_and_attributes_there_are() -> None:
    text = (Path(__file__).resolve().parent.parent / "README.md").read_text()
    table = text.partition("## What works")[2].partition("\n\n**")[0]
    gives = {
        name: gift
        for cell, gift in re.findall(r"^\| (.*`mien .*?) \| (.*?) \|", table, re.M)
        for name in re.findall(r"`mien (\w+)`", cell)
    }
    assert gives.keys() == typer.main.get_command(app).commands.keys()  # type: ignore[attr-defined]
    assert {7: "seven", 8: "eight"}[len(SOURCES)] + " formats" in gives["data"]
    assert f"{len(NAMES)} attributes" in gives["describe"]


def test_the_readme_names_the_presets_and_resumes_that_commands_accept() -> None:
    """It said that every training has the presets `mien` and `paper`, and resumes."""
    text = (Path(__file__).resolve().parent.parent / "README.md").read_text()
    table = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", text.partition("### Trainings")[2], re.M)
    said = {}
    for model, names, resumed in table:
        known = re.findall(r"`(\w+)`", names)
        goes_on = known if resumed == "both" else re.findall(r"`(\w+)`", resumed)
        said[model] = {name: name in goes_on for name in known}
    wanted = {
        model: {name: "resume" in preset.options for name, preset in found.items()}
        for model, found in presets.PRESETS.items()
    }
    assert said == wanted
