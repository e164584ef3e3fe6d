"""What users build on: public names, signatures, the command line's start-up and its promises about exit and errors."""

from __future__ import annotations

import dataclasses
import inspect
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

import mien
from mien import errors

HELP_SECONDS_WANTED = 0.3
HELP_SECONDS_ALLOWED = 1.0  # CI's machine may be busy with something else


RECORDS = ["Box", "Face", "FaceDescription", "Imagined", "Labels", "MadeFace", "PhotoDescription", "Portrait", "Pose"]


def test_public_names_are_pinned() -> None:
    assert sorted(mien.__all__) == sorted([*RECORDS, "__version__", "errors", "load"])
    assert dir(mien) == sorted(mien.__all__)
    with pytest.raises(AttributeError, match="module 'mien' has no attribute 'nobody'"):
        mien.nobody  # noqa: B018


def test_results_are_records_that_callers_can_name() -> None:
    for name in RECORDS:
        record: Any = getattr(mien, name)
        assert dataclasses.is_dataclass(record)
        assert (record.__name__, record.__dataclass_params__.frozen) == (name, True)
    assert isinstance(mien.load("crowd").sample(1, seed=1)[0], mien.MadeFace)
    assert isinstance(mien.load("imagine").sample("smiling", 1, seed=1)[0], mien.Imagined)


def test_faces_can_be_compared_and_kept_in_sets() -> None:
    """Each is itself alone: the pictures of two cannot be asked whether they are one."""
    one, other = mien.load("crowd", preset="mien").sample(2, seed=1)
    assert one == one
    assert one != other
    assert len({one, other, one}) == 2
    assert one in [other, one]


def test_public_errors_are_pinned() -> None:
    assert sorted(mien.errors.__all__) == [
        "DatasetError", "FetchError", "MienError", "PhotoError", "RequestError", "SourceError", "StoreError",
        "TooFewError", "TrainingError", "WeightsError",
    ]  # fmt: skip


def test_load_is_called_as_documented() -> None:
    signature = inspect.signature(mien.load)
    assert {name: parameter.default for name, parameter in signature.parameters.items()} == {
        "name": "crowd",
        "preset": None,
        "weights": None,
        "device": None,
    }
    keyword_only = [name for name, p in signature.parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    assert keyword_only == ["preset", "weights", "device"]


def test_sample_is_called_as_documented() -> None:
    from mien.generators.crowd.sampler import Crowd

    assert {"self", "count", "sex", "age", "seed"} <= inspect.signature(Crowd.sample).parameters.keys()
    assert list(inspect.signature(Crowd.sample).parameters)[:2] == ["self", "count"]


def test_faces_from_words_are_made_as_documented() -> None:
    makes = mien.load("imagine")
    faces = makes.sample("smiling, woman, not hat", 2, seed=7)
    assert [face.index for face in faces] == [0, 1]
    assert all(face.image.shape == (makes.renderer.size_px, makes.renderer.size_px, 3) for face in faces)
    assert (makes.sample("smiling, woman, not hat", seed=7)[0].image == faces[0].image).all()
    assert (makes.sample("man, bald", seed=7)[0].image != faces[0].image).any()
    assert makes.sample("smiling")[0].seed >= 0  # drawn
    for words, told in (("smilling", "near: smiling"), ("", "none given"), ("bald, black hair", "exclude")):
        with pytest.raises(errors.RequestError, match=told):
            makes.sample(words, seed=1)
    with pytest.raises(errors.RequestError, match="count: 0"):
        makes.sample("smiling", 0)
    with pytest.raises(errors.RequestError, match="preset 'paper' given; imagine knows painter and mien"):
        mien.load("imagine", preset="paper")


def test_an_unknown_generator_is_a_wrong_request() -> None:
    with pytest.raises(errors.RequestError, match="no generator 'nobody'; allowed: crowd"):
        mien.load("nobody")  # type: ignore[call-overload]


def test_the_version_is_one_number_everywhere(
    checkout: Path, cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", mien.__version__)
    project = tomllib.loads((checkout / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["hatch"]["version"]["path"] == "src/mien/core/version.py"
    done = cli("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"mien {mien.__version__}\n", "")


def test_help_is_quick() -> None:
    script = shutil.which("mien", path=str(Path(sys.executable).parent))
    command = [script] if script else [sys.executable, "-m", "mien"]
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - start)
    assert "Usage:" in done.stdout
    print(f"mien --help: {min(seconds):.2f} s, wanted {HELP_SECONDS_WANTED} s")
    assert min(seconds) < HELP_SECONDS_ALLOWED


def test_help_loads_no_library_that_only_work_needs() -> None:
    script = "import sys, mien.apps.cli; print(*sorted({'numpy', 'pydantic', 'torch', 'PIL'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_without_a_command_the_help_is_shown(cli_here: Callable[..., Result]) -> None:
    result = cli_here()
    assert result.exit_code == 2
    assert "Usage:" in result.output


@pytest.mark.parametrize("words", [["nonsense"], ["--nonsense"]])
def test_a_wrong_word_exits_with_2(cli: Callable[..., subprocess.CompletedProcess[str]], words: list[str]) -> None:
    done = cli(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nonsense" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("raised", "status", "line"),
    [
        (
            "errors.RequestError('--age: given 200,\\nallowed 0 to 116')",
            2,
            "mien: --age: given 200, allowed 0 to 116\n",
        ),
        (
            "errors.WeightsError('x.safetensors: no such weights file')",
            1,
            "mien: x.safetensors: no such weights file\n",
        ),
        ("errors.PhotoError('empty', 'a.jpg: the file has 0 bytes')", 1, "mien: a.jpg: the file has 0 bytes\n"),
        (
            "OSError(28, 'No space left on device', 'out/00000.png')",
            1,
            "mien: out/00000.png: No space left on device\n",
        ),
        ("KeyboardInterrupt", 130, "mien: interrupted\n"),
    ],
)
def test_errors_become_one_line_and_their_status(raised: str, status: int, line: str) -> None:
    script = f"""
import sys
import mien.apps.cli as cli
from mien import errors

@cli.app.command()
def fail():
    raise {raised}

sys.argv = ["mien", "fail"]
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", line)


def test_every_error_is_in_the_one_tree() -> None:
    public: list[Any] = [value for value in vars(errors).values() if inspect.isclass(value)]
    assert len(public) > 5
    assert all(issubclass(value, errors.MienError) for value in public)
    assert {value.exit_status for value in public} == {1, 2}
    assert errors.PhotoError("empty", "a.jpg: 0 bytes").reason == "empty"


def test_help_is_shown_as_it_is_written(command_tree: object) -> None:
    """Brackets are markup in help texts: `mien[cluster]` is told, not `mien`."""
    from rich.text import Text

    def texts(command: Any) -> Iterator[str]:
        yield command.help or ""
        yield from (parameter.help or "" for parameter in command.params if hasattr(parameter, "help"))
        for child in getattr(command, "commands", {}).values():
            yield from texts(child)

    found = list(texts(command_tree))
    assert len(found) > 200
    assert [text for text in found if Text.from_markup(text).plain != text.replace("\\[", "[")] == []
    assert Text.from_markup("pip install 'mien[cluster]'").plain != "pip install 'mien[cluster]'", "what it looks for"


def test_every_command_has_help(cli_here: Callable[..., Result], command_tree: object) -> None:
    def walk(command: object, words: tuple[str, ...]) -> list[tuple[str, ...]]:
        children = getattr(command, "commands", {})
        return [words, *(deeper for name, child in children.items() for deeper in walk(child, (*words, name)))]

    paths = walk(command_tree, ())
    assert len(paths) > 20
    for words in paths:
        result = cli_here(*words, "--help")
        assert result.exit_code == 0, (words, result.output)
        assert "Usage:" in result.output
