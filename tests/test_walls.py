"""The walls between the rooms (see docs/conventions.md and CONTRIBUTING.md), held by reading the code.

Every import counts, those inside functions and those for type checkers too. Each rule is one line of a table; the last
tests plant a violation of each rule in a copy and see it caught, so that no rule can pass by being blind.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "mien"
ROOMS = ("photos", "faces", "generators", "training", "evaluation", "provenance", "apps")
LONGEST_FILE_LINES = 400

# Which other rooms a room may enter. Every room may use the ground floor, which enters none (but for the doors of
# the public API, mien.load). A room that is not in this table is itself a violation: add it here first.
MAY_ENTER: dict[str, set[str]] = {
    "ground": set(),
    "photos": {"faces"},
    "faces": set(),
    "generators": {"faces"},
    "training": {"generators", "faces"},  # batches and metrics come in as arguments
    "evaluation": {"faces", "photos"},
    "provenance": set(),  # reads and writes files of pictures, whoever made them
    "apps": {"photos", "faces", "generators", "training", "evaluation", "provenance"},
}
DOORS = {("__init__.py", "generators"), ("__init__.py", "faces"), ("__main__.py", "apps")}


@dataclass(frozen=True, slots=True)
class Rule:
    """Code (no comments, no docstrings or other strings) that only the files ``owners`` may hold."""

    name: str
    pattern: str
    owners: tuple[str, ...]  # a path under src/mien, or a room with a final '/'
    planted: str  # a line that breaks the rule


RULES = (
    Rule("pixel scale", r"\b127\.5\b", ("images.py",), "half = 127.5"),
    Rule("BGR order", r"COLOR_\w*BGR", ("images.py",), "code = cv2.COLOR_RGB2BGR"),
    Rule("channel flip", r"\[\s*\.\.\.\s*,\s*::\s*-1\s*\]", ("images.py",), "flipped = photo[..., ::-1]"),
    Rule("backward pass", r"\.backward\s*\(", ("training/",), "loss.backward()"),
    Rule("unpickling", r"\btorch\s*\.\s*save\b|\b(c?pickle|dill|joblib|shelve)\b", (), "x = pickle.load(file)"),
    # VGG-Face goes about as a .pth only: its one reader is held to `weights_only=True` by a test below.
    Rule("foreign weights", r"\btorch\s*\.\s*load\b|\bfrom\s+torch\b.*\bimport\b.*\bload\b", ("checkpoints.py",),
         "x = torch.load(path)"),
    Rule("weights files", r"\bsafetensors\b", ("checkpoints.py",), "import safetensors.torch"),
    Rule("print", r"(?<![.\w])print\s*\(", (), "print(1)"),
    Rule("global seed", r"\b(torch\.manual_seed|np\.random\.seed|random\.seed)\s*\(", ("training/",),
         "torch.manual_seed(0)"),  # dropout takes no generator: the loop seeds it, step by step
    Rule("global draw", r"\bnp\.random\.(rand|randn|randint|normal|uniform|choice|shuffle|permutation)\b", (),
         "x = np.random.normal()"),
)  # fmt: skip

# Anywhere in a file, strings and comments included.
MACHINE_PATH = re.compile(r"(?<![\w.])/(work|tmp|root|home|Users|mnt)/|C:\\\\|\blocalhost:\d|/opt/")

# What must not be loaded by the act of importing, for start-up time and silence.
LIGHT_IMPORTS = ("mien", "mien.apps.cli", *(f"mien.core.{name}" for name in ("errors", "records", "seeding", "config")))
HEAVY_MODULES = ("torch", "cv2", "scipy", "pyarrow", "polars", "matplotlib", "sklearn", "accelerate")


def room_of(file: Path, source: Path) -> str:
    """The room of a file under ``source``: a folder of ``ROOMS``, or ``ground``; another folder stands for itself."""
    parts = file.relative_to(source).parts
    return "ground" if len(parts) == 1 else parts[0]


def imported(tree: ast.AST, package: str) -> list[tuple[int, str]]:
    """(line, absolute dotted name) of every import in a module that lies in ``package``, wherever it stands."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            up = package.split(".")[: len(package.split(".")) - (node.level - 1)] if node.level else []
            base = ".".join([*up, *([node.module] if node.module else [])])
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.JoinedStr):
                first = first.values[0]  # f"mien.apps.cli.{name}": its fixed beginning
            if isinstance(first, ast.Constant):
                found.append((node.lineno, str(first.value)))
    return found


def wall_breaches(source: Path) -> list[str]:
    """Every import under ``source`` that enters a room it may not."""
    breaches = []
    for file in sorted(source.rglob("*.py")):
        place, room = file.relative_to(source), room_of(file, source)
        if room == "weights":
            continue
        if room not in MAY_ENTER:
            breaches.append(f"{place}: '{room}' is a room that MAY_ENTER does not know")
            continue
        package = ".".join(["mien", *place.parts[:-1]])
        for line, name in imported(ast.parse(file.read_text()), package):
            parts = name.split(".")
            entered = parts[1] if parts[0] == "mien" and len(parts) > 1 and parts[1] in ROOMS else None
            if entered and entered != room and entered not in MAY_ENTER[room] and (str(place), entered) not in DOORS:
                breaches.append(f"{place}:{line}: {room} enters {entered} ({name})")
    return breaches


def code_only(text: str) -> list[str]:
    """The lines of a module with comments and string contents taken out."""
    lines = text.splitlines()
    kinds = {tokenize.COMMENT, tokenize.STRING}
    if hasattr(tokenize, "FSTRING_MIDDLE"):
        kinds.add(tokenize.FSTRING_MIDDLE)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in kinds:
            (first, start), (last, end) = token.start, token.end
            for row in range(first, last + 1):
                line = lines[row - 1]
                a = start if row == first else 0
                b = end if row == last else len(line)
                lines[row - 1] = line[:a] + " " * (b - a) + line[b:]
    return lines


def rule_breaches(source: Path, rule: Rule) -> list[str]:
    """Every line of code under ``source`` that only the owners of ``rule`` may hold."""
    breaches = []
    for file in sorted(source.rglob("*.py")):
        place = file.relative_to(source).as_posix()
        if any(place == owner or (owner.endswith("/") and place.startswith(owner)) for owner in rule.owners):
            continue
        for number, line in enumerate(code_only(file.read_text()), 1):
            if re.search(rule.pattern, line):
                breaches.append(f"{place}:{number}: {line.strip()}")
    return breaches


def path_breaches(source: Path) -> list[str]:
    """Every line that names a place of somebody's machine."""
    return [
        f"{file.relative_to(source)}:{number}: {line.strip()}"
        for file in sorted(source.rglob("*.py"))
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]


def length_breaches(source: Path) -> list[str]:
    """Every file with more than ``LONGEST_FILE_LINES`` lines: it has two subjects."""
    lengths = {file: len(file.read_text().splitlines()) for file in sorted(source.rglob("*.py"))}
    return [f"{file.relative_to(source)}: {n} lines" for file, n in lengths.items() if n > LONGEST_FILE_LINES]


def test_rooms_enter_only_the_rooms_they_may() -> None:
    assert sum(1 for _ in SOURCE.rglob("*.py")) > 20, "the walls are tested on the wrong folder"
    assert not wall_breaches(SOURCE)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_what_has_one_owner_is_nowhere_else(rule: Rule) -> None:
    breaches = rule_breaches(SOURCE, rule)
    assert not breaches, f"{rule.name} belongs to {rule.owners or 'nobody'}:\n" + "\n".join(breaches)


def unguarded_loads(text: str) -> list[str]:
    """Every use of ``torch.load`` in a module that is not a call with the literal ``weights_only=True``."""
    tree = ast.parse(text)
    guarded = {
        id(node.func)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and any(
            key.arg == "weights_only" and isinstance(key.value, ast.Constant) and key.value.value is True
            for key in node.keywords
        )
    }
    loads = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.load")
    return [f"{node.lineno}: {ast.unparse(node)}" for node in loads if id(node) not in guarded]


def test_foreign_weights_are_read_without_running_their_code() -> None:
    text = (SOURCE / "checkpoints.py").read_text()
    assert "weights_only=True" in "\n".join(code_only(text))
    assert not unguarded_loads(text)


@pytest.mark.parametrize(
    "line",
    [
        "x = torch.load(path)",
        "x = torch.load(path, weights_only=False)",
        "x = torch.load(path, weights_only=careful)",
        "read = torch.load",
    ],
)
def test_an_unguarded_load_is_seen(line: str) -> None:
    assert len(unguarded_loads(f"import torch\n{line}\n")) == 1


def test_no_file_names_a_machine() -> None:
    assert not path_breaches(SOURCE)


def test_no_file_has_two_subjects() -> None:
    assert not length_breaches(SOURCE)


def test_no_room_is_called_utils() -> None:
    assert not [p for p in SOURCE.rglob("*") if re.fullmatch(r"_?(utils?|helpers?|misc|common)(\.py)?", p.name)]


@pytest.mark.parametrize("module", LIGHT_IMPORTS)
def test_imports_are_silent_and_light(module: str) -> None:
    heavy = f"[m for m in {HEAVY_MODULES!r} if m in sys.modules]"
    script = f"import sys; import {module}; found = {heavy}; sys.exit(f'{module} loads {{found}}' if found else 0)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("evaluation/a.py", "from mien.generators.crowd.sampler import Crowd"),
        ("evaluation/a.py", "def f():\n    import mien.pipelines.load"),
        ("evaluation/a.py", "from ..generators import load"),
        ("evaluation/metrics/a.py", "from ...generators.crowd import Crowd"),
        ("generators/crowd/a.py", "from mien import training"),
        ("generators/a.py", "import importlib\nimportlib.import_module('mien.training.loop')"),
        ("generators/a.py", "import importlib\nimportlib.import_module(f'mien.apps.{1}')"),
        ("generators/a.py", "from mien.datasets.batches import batches"),
        ("generators/a.py", "if True:\n    from mien.apps import cli"),
        ("faces/a.py", "from mien.datasets import catalog"),
        ("photos/a.py", "import mien.training.loop as loop"),
        ("training/a.py", "from mien.evaluation.metrics import frechet"),
        ("training/a.py", "from mien.datasets.batches import batches"),
        ("images.py", "from mien.faces import detector"),
        ("__init__.py", "from mien.training import loop"),
        ("cellar/a.py", "x = 1"),
    ],
)
def test_the_walls_see_a_planted_breach(tmp_path: Path, place: str, line: str) -> None:
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'"""A module."""\n\nfrom mien.core.errors import MienError\n{line}\n')
    assert len(wall_breaches(tmp_path)) == 1


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_sees_a_planted_breach_and_spares_words(tmp_path: Path, rule: Rule) -> None:
    (tmp_path / "a.py").write_text(f'"""{rule.planted}"""\n# {rule.planted}\nx = "{rule.planted}"\n')
    assert not rule_breaches(tmp_path, rule)
    (tmp_path / "a.py").write_text(f'"""Words."""\nif True:\n    {rule.planted}\n')
    assert rule_breaches(tmp_path, rule) == [f"a.py:3: {rule.planted}"]


def test_paths_and_lengths_see_a_planted_breach(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('x = "/tmp/faces"  # and a/tmp/b is none\n' + "\n" * LONGEST_FILE_LINES)
    assert path_breaches(tmp_path) == ['a.py:1: x = "/tmp/faces"  # and a/tmp/b is none']
    assert length_breaches(tmp_path) == [f"a.py: {LONGEST_FILE_LINES + 1} lines"]
