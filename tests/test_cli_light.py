"""What only refuses or lists loads no library that takes seconds: a user who errs is told at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import processes
import pytest

Run = Callable[[str], "subprocess.CompletedProcess[str]"]

HEAVY = ("torch", "cv2", "scipy", "polars", "pyarrow", "sklearn", "matplotlib", "cleanlab", "fastapi", "gradio")
REPORTS = ("evaluate crowd", "evaluate judge", "evaluate attributes", "evaluate imagine", "evaluate portrait",
           *(f"experiment {name}" for name in ("distribution", "tsne", "activations", "verification", "unfreezing",
                                               "likeness", "ablation")))  # fmt: skip
TRAINED = ("crowd", "attributes", "mixture", "portrait", "enlarger", "judge")
REFUSED = {
    "data review NOWHERE": "NOWHERE: no prepared dataset",
    "data report NOWHERE --out OUT": "NOWHERE: no prepared dataset",
    "data prepare lfw NOWHERE OUT": "NOWHERE: does not exist",
    "data prepare lwf NOWHERE OUT": "did you mean lfw?",
    "data prepare folder NOWHERE OUT --name ../up": "--name '../up'",
    **{f"{words} --data NOWHERE --out OUT": "NOWHERE: no prepared dataset" for words in REPORTS},
    "data prepare lfw NOWHERE OUT --transfers 4": "--transfers: lfw has no links to bring; only pubfig uses it",
    "data prepare lfw NOWHERE OUT --no-download": "--download: lfw has no links to bring",
    **{f"train {name} --data NOWHERE --out OUT": "NOWHERE: no prepared dataset" for name in TRAINED},
    "evaluate crowd --data NOWHERE --out OUT --preset paper --weights x": "--preset: paper given with --weights",
    "evaluate judge --data NOWHERE --out OUT --preset nobody": "allowed: mien, attributes",
    "evaluate attributes --data NOWHERE --out OUT --split spare": "allowed: train, validation, test",
    "evaluate attributes --data NOWHERE --out OUT --encoder arcface": "allowed: facenet, vgg-face",
    "evaluate imagine --data NOWHERE --out OUT --slow 2": "NOWHERE: no prepared dataset",
    "evaluate imagine --data NOWHERE --out OUT --slow-method invert": "--slow-method: invert given; only --slow",
    "evaluate imagine --data NOWHERE --out OUT --slow-method x": "--slow-method: 'x' given; allowed: mixture, invert",
    "evaluate imagine --data NOWHERE --out OUT --slow-steps 9": "--slow-steps: 9 given; only --slow uses it",
    "evaluate portrait --data NOWHERE --out OUT --preset paper": "paper has no packaged weights",
    "experiment inversion --mixture NOWHERE --out OUT": "NOWHERE: no such weights file",
    "experiment inversion --mixture NOWHERE --out OUT --words blorp": "blorp",
    "experiment likeness --data NOWHERE --out OUT --steps 5": "NOWHERE: no prepared dataset",
    "experiment unfreezing --data NOWHERE --out OUT --lr 0": "--lr: 0 given",
    "crowd --count 0 --out OUT": "--count: 0 given",
    "imagine blorp --out OUT": "blorp",
    "models info nothing": "allowed: ",
}
LISTED = ("--version", "--help", "attributes", "models list", "evaluate crowd --help")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A command in a process that has loaded no more than the command line; at its end it tells what it loaded."""
    folder = tmp_path_factory.mktemp("telling")
    (folder / "telling.py").write_text(
        "import atexit, sys\n"
        f"heavy = {HEAVY!r}\n"
        "tell = lambda: sys.stdout.write('loaded: ' + ' '.join(m for m in heavy if m in sys.modules))\n"
        "atexit.register(tell)\n"
    )
    nursery = processes.Nursery(["mien.apps.cli", "telling"], {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])})
    yield lambda words: nursery.run(words.split(), None, os.environ, 60)
    nursery.close()


@pytest.mark.parametrize("words", REFUSED)
def test_a_refusal_is_one_line_and_loads_nothing_heavy(run: Run, words: str) -> None:
    done = run(words)
    assert REFUSED[words] in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.returncode in (1, 2)
    assert done.stdout == "loaded: "


@pytest.mark.parametrize("words", LISTED)
def test_a_listing_loads_nothing_heavy(run: Run, words: str) -> None:
    done = run(words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("loaded: ")


@pytest.mark.parametrize(
    "words", ["portrait NOWHERE.jpg --out OUT", "describe NOWHERE.jpg", "describe NOWHERE.jpg --json"]
)
def test_photos_that_cannot_be_read_load_no_network(run: Run, words: str) -> None:
    done = run(words)
    assert "mien: NOWHERE.jpg: cannot be read (No such file or directory)\n" in done.stderr
    assert done.returncode == 1
    assert "torch" not in done.stdout.rpartition("loaded: ")[2]
