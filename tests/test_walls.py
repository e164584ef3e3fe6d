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
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "mien"
ROOMS = (
    "core",
    "pretrained",
    "faces",
    "attributes",
    "datasets",
    "generators",
    "papers",
    "training",
    "evaluation",
    "provenance",
    "pipelines",
    "apps",
)
LONGEST_FILE_LINES = 400
LONGEST_FUNCTION_LINES = 60
# Longer than that: none, and none may come.
LONG_FUNCTIONS: set[str] = set()

# Which rooms a room may enter: none beside it, none above. A room that is not in this table is itself a violation:
# add it here first. ``door`` is the package's own face (``mien.load``), ``start`` is ``__main__.py``.
BELOW = {"core", "pretrained", "faces", "attributes", "datasets", "generators", "papers", "training", "evaluation"}
MAY_ENTER: dict[str, set[str]] = {
    "core": set(),
    "pretrained": {"core"},
    "faces": {"core", "pretrained"},
    "attributes": {"core", "pretrained", "faces"},
    "datasets": {"core", "pretrained", "faces", "attributes"},
    "generators": {"core", "faces", "attributes"},
    "papers": {"core", "faces", "attributes"},
    "training": {"core", "faces", "attributes", "generators", "papers"},  # batches and metrics come in as arguments
    "evaluation": {"core", "faces", "attributes", "datasets"},  # never sees a generator
    "provenance": {"core"},  # reads and writes files of pictures, whoever made them
    "pipelines": {*BELOW, "provenance"},
    "apps": {"core", "provenance", "pipelines"},  # parse, call a pipeline, show
    "door": {"core", "pipelines"},
    "start": {"core", "apps"},  # `python -m mien` is the command line
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Code (no comments, no docstrings or other strings) that only the files ``owners`` may hold."""

    name: str
    pattern: str
    owners: tuple[str, ...]  # a path under src/mien, or a room with a final '/'
    planted: str  # a line that breaks the rule


RULES = (
    Rule("pixel scale", r"\b127\.5\b", ("core/images.py",), "half = 127.5"),
    Rule("BGR order", r"COLOR_\w*BGR", ("core/images.py",), "code = cv2.COLOR_RGB2BGR"),
    Rule("channel flip", r"\[\s*\.\.\.\s*,\s*::\s*-1\s*\]", ("core/images.py",), "flipped = photo[..., ::-1]"),
    Rule("backward pass", r"\.backward\s*\(", ("training/",), "loss.backward()"),
    Rule("unpickling", r"\btorch\s*\.\s*save\b|\b(c?pickle|dill|joblib|shelve)\b", (), "x = pickle.load(file)"),
    # VGG-Face goes about as a .pth only: its one reader is held to `weights_only=True` by a test below.
    Rule("foreign weights", r"\btorch\s*\.\s*load\b|\bfrom\s+torch\b.*\bimport\b.*\bload\b", ("core/checkpoints.py",),
         "x = torch.load(path)"),
    Rule("weights files", r"\bsafetensors\b", ("core/checkpoints.py",), "import safetensors.torch"),
    Rule("bf16 autocast", r"autocast\s*\(.*bfloat16", ("core/precision.py", "training/machine.py"),
         "x = torch.autocast(device.type, torch.bfloat16)"),  # a CPU without bf16 units takes five times as long in it
    Rule("print", r"(?<![.\w])print\s*\(", (), "print(1)"),
    Rule("global seed", r"\b(torch\.manual_seed|np\.random\.seed|random\.seed)\s*\(", ("training/",),
         "torch.manual_seed(0)"),  # dropout takes no generator: the loop seeds it, step by step
    Rule("global draw", r"\bnp\.random\.(rand|randn|randint|normal|uniform|choice|shuffle|permutation)\b", (),
         "x = np.random.normal()"),
)  # fmt: skip

# Anywhere in a file, strings and comments included.
MACHINE_PATH = re.compile(r"(?<![\w.])/(work|tmp|root|home|Users|mnt)/|C:\\\\|\blocalhost:\d|/opt/")

# What must not be loaded by the act of importing, for start-up time and silence.
LIGHT_PIPELINES = ("mien.pipelines.portrait", "mien.pipelines.describe")  # requests are checked before torch is loaded
LIGHT_CORE = (f"mien.core.{name}" for name in ("errors", "records", "seeding", "config", "settings"))
LIGHT_IMPORTS = ("mien", "mien.apps.cli", *LIGHT_PIPELINES, *LIGHT_CORE)
HEAVY_MODULES = ("torch", "cv2", "scipy", "pyarrow", "polars", "matplotlib", "sklearn", "accelerate")


def room_of(file: Path, source: Path) -> str:
    """The room of a file under ``source``: a folder of ``ROOMS``, ``door`` or ``start``; another folder is itself."""
    parts = file.relative_to(source).parts
    if len(parts) > 1:
        return parts[0]
    return "start" if parts[0] == "__main__.py" else "door"


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
        for line, name in imported(parsed(file.read_text()), package):
            parts = name.split(".")
            entered = parts[1] if parts[0] == "mien" and len(parts) > 1 and parts[1] in ROOMS else None
            if entered and entered != room and entered not in MAY_ENTER[room]:
                breaches.append(f"{place}:{line}: {room} enters {entered} ({name})")
    return breaches


def module_of(file: Path, source: Path) -> str:
    """The dotted name of a file under ``source``."""
    parts = file.relative_to(source).with_suffix("").parts
    return ".".join(["mien", *(parts[:-1] if parts[-1] == "__init__" else parts)])


def arrows(source: Path) -> dict[str, set[str]]:
    """Module -> the modules under ``source`` that it imports, wherever the import stands."""
    modules = {module_of(file, source): file for file in sorted(source.rglob("*.py"))}
    found: dict[str, set[str]] = {}
    for module, file in modules.items():
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        names = {name for _, name in imported(parsed(file.read_text()), package)}
        targets = {name if name in modules else name.rpartition(".")[0] for name in names}
        found[module] = {name for name in targets if name in modules and name not in (module, "mien")}
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Every set of modules that import each other in a loop (Tarjan's strongly connected components)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in number:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], number[other])
        if low[node] == number[node]:
            loop = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(loop) > 1:
                found.append(sorted(loop))

    for node in graph:
        if node not in number:
            visit(node)
    return found


def private_breaches(source: Path) -> list[str]:
    """Every import of a private name (``_x``) of another file, and every use of one through a module."""
    breaches = []
    for file in sorted(source.rglob("*.py")):
        tree = parsed(file.read_text())
        modules: set[str] = set()
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom | ast.Import):
                continue
            inside = isinstance(node, ast.Import) or (node.module or "").startswith("mien") or node.level
            for alias in node.names:
                last = alias.name.rpartition(".")[2]
                if inside and last.startswith("_") and not last.startswith("__"):
                    breaches.append(f"{file.relative_to(source)}:{node.lineno}: {last}")
                if isinstance(node, ast.ImportFrom) and inside and (alias.name.islower()):
                    modules.add(alias.asname or alias.name)
        known = {name.rpartition(".")[2] for name in arrows_cached(source)} & modules
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id in known
                and node.attr.startswith("_")
                and not node.attr.startswith("__")
            ):
                breaches.append(f"{file.relative_to(source)}:{node.lineno}: {node.value.id}.{node.attr}")
    return breaches


@cache
def arrows_cached(source: Path) -> dict[str, set[str]]:
    """``arrows``, once for each folder."""
    return arrows(source)


@cache
def parsed(text: str) -> ast.Module:
    """``ast.parse``, once for each text."""
    return ast.parse(text)


@cache
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


def long_functions(source: Path) -> set[str]:
    """Functions with more than ``LONGEST_FUNCTION_LINES`` lines."""
    nodes = ((file, node) for file in sorted(source.rglob("*.py")) for node in ast.walk(ast.parse(file.read_text())))
    functions = ((file, node) for file, node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    longest = LONGEST_FUNCTION_LINES - 1  # from the first line to the last
    return {
        f"{file.relative_to(source)}: {f.name}" for file, f in functions if (f.end_lineno or 0) - f.lineno > longest
    }


def test_functions_are_short() -> None:
    assert long_functions(SOURCE) == LONG_FUNCTIONS


def test_rooms_enter_only_the_rooms_they_may() -> None:
    assert sum(1 for _ in SOURCE.rglob("*.py")) > 20, "the walls are tested on the wrong folder"
    assert not wall_breaches(SOURCE)


# An app enters no other app; what they share is `apps/web`. The command line starts them.
APPS = ("cli", "service", "studio", "review", "study", "web")


def app_breaches(graph: dict[str, set[str]]) -> list[str]:
    """Every import of one app by another that is not its to enter."""
    found = []
    for module, targets in sorted(graph.items()):
        own = [*module.split("."), ""][2] if module.startswith("mien.apps.") else ""
        if own not in APPS or own == "cli":
            continue
        others = {target: target.split(".")[2] for target in sorted(targets) if target.startswith("mien.apps.")}
        found += [f"{module} enters {target}" for target, other in others.items() if other not in (own, "web")]
    return found


def test_no_app_enters_another() -> None:
    assert app_breaches(arrows(SOURCE)) == []


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("mien.apps.studio.a", "mien.apps.cli.crowd"),
        ("mien.apps.review.a", "mien.apps.service.app"),
        ("mien.apps.web.a", "mien.apps.studio.app"),
    ],
)
def test_an_app_that_enters_another_is_seen(module: str, target: str) -> None:
    assert app_breaches({module: {target}, target: set()}) == [f"{module} enters {target}"]


def test_there_is_no_circle() -> None:
    assert circles(arrows(SOURCE)) == []


def test_a_planted_circle_is_seen(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")):
        file = tmp_path / "core" / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"def f():\n    from mien.core import {other}\n")
    assert circles(arrows(tmp_path)) == [["mien.core.a", "mien.core.b", "mien.core.c"]]


def test_no_private_name_crosses_a_file() -> None:
    assert not private_breaches(SOURCE)


@pytest.mark.parametrize("line", ["from mien.core.b import _hidden", "from mien.core import b\nb._hidden()"])
def test_a_planted_private_name_is_seen(tmp_path: Path, line: str) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "b.py").write_text("def _hidden(): ...\n")
    (tmp_path / "core" / "a.py").write_text(f"{line}\nself._own = 1\n")
    assert len(private_breaches(tmp_path)) == 1


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
    text = (SOURCE / "core/checkpoints.py").read_text()
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
        ("datasets/a.py", "import mien.training.loop as loop"),
        ("training/a.py", "from mien.evaluation.metrics import frechet"),
        ("training/a.py", "from mien.datasets.batches import batches"),
        ("core/a.py", "from mien.faces import detector"),
        ("papers/deepface_2016/a.py", "from mien.generators import density"),
        ("generators/a.py", "from mien.papers.cgan_sanche import networks"),
        ("pretrained/a.py", "from mien.faces import align"),
        ("core/a.py", "import mien.pipelines.crowd"),
        ("__init__.py", "from mien.training import loop"),
        ("__init__.py", "from mien.apps import cli"),
        ("__main__.py", "from mien.generators.crowd import mien"),
        ("apps/cli/a.py", "from mien.attributes import GROUPS"),
        ("apps/studio/a.py", "def f():\n    from mien.generators.imagine.density import Wish"),
        ("apps/web/a.py", "if TYPE_CHECKING:\n    from mien.papers.deepface_2016.mixture import ClassMixture"),
        ("apps/review/a.py", "from mien.datasets import catalog"),
        ("apps/study/a.py", "from mien.evaluation.study.design import Design"),
        ("apps/cli/b.py", "from mien.pretrained import registry"),
        ("apps/cli/c.py", "import mien.faces.align"),
        ("apps/cli/d.py", "from ...training import loop"),
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
    (tmp_path / "b.py").write_text("def long():\n" + "    x = 1\n" * LONGEST_FUNCTION_LINES)
    assert long_functions(tmp_path) == {"b.py: long"}
