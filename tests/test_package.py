"""The package: what it asks for, what is pinned, what travels, and the scripts that build it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

CHECKOUT = Path(__file__).resolve().parent.parent
SOURCE = CHECKOUT / "src" / "mien"
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
WEIGHTS_LIMIT_MIB = 90
# Without what an outer `make test PYTHON=...` hands down.
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("MAKE") and key != "MFLAGS"}
# Where the name that is imported is not the name that is installed.
DISTRIBUTION_OF = {"cv2": "opencv-python-headless", "PIL": "pillow", "sklearn": "scikit-learn", "c2pa": "c2pa-python"}


def requirements() -> list[Requirement]:
    """Everything that pyproject.toml asks for, of other projects."""
    project = PROJECT["project"]
    lines = [*project["dependencies"], *PROJECT["build-system"]["requires"]]
    lines += [line for extra in project["optional-dependencies"].values() for line in extra]
    lines += [line for group in PROJECT["dependency-groups"].values() for line in group]
    return [requirement for requirement in map(Requirement, lines) if requirement.name != "mien"]


def pins() -> dict[str, str]:
    """Name -> version of every line of constraints.txt; a line of another form fails here."""
    lines = (CHECKOUT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in found}


@pytest.mark.parametrize("requirement", sorted(set(requirements()), key=str), ids=str)
def test_every_requirement_has_an_exact_pin_inside_its_range(requirement: Requirement) -> None:
    pin = pins().get(canonicalize_name(requirement.name))
    assert pin is not None, f"constraints.txt has no pin for {requirement.name}: run `make constraints`"
    assert requirement.specifier.contains(Version(pin)), f"{requirement} is pinned to {pin}"


def test_pins_are_of_releases_and_not_of_builds() -> None:
    assert all(re.fullmatch(r"[0-9][0-9A-Za-z.]*", version) for version in pins().values())
    torch_of_make = re.search(r"^TORCH \?= (\S+)$", (CHECKOUT / "Makefile").read_text(), re.M)
    assert torch_of_make is not None
    assert pins()["torch"] == torch_of_make[1]


def test_every_foreign_import_is_asked_for() -> None:
    asked = {canonicalize_name(requirement.name) for requirement in requirements()}
    runtime_and_extras = asked - {canonicalize_name(Requirement(line).name) for line in ("pytest", "ruff", "mypy")}
    missing = set()
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for top in {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"mien", "__future__"}:
                if canonicalize_name(DISTRIBUTION_OF.get(top, top)) not in runtime_and_extras:
                    missing.add(f"{file.relative_to(CHECKOUT)} imports {top}")
    assert not missing


def test_the_weights_that_travel_are_small_and_have_their_cards() -> None:
    weights = sorted(SOURCE.rglob("*.safetensors"))
    mib = sum(path.stat().st_size for path in weights) / 2**20
    assert mib <= WEIGHTS_LIMIT_MIB, f"{mib:.1f} MiB of weights, allowed are {WEIGHTS_LIMIT_MIB}"
    cards = "\n".join(path.read_text(encoding="utf-8") for path in (SOURCE / "weights").glob("*.md"))
    for path in (SOURCE / "weights").glob("*.safetensors"):
        assert path.with_suffix(".md").is_file() or path.name in cards, f"{path.name} has no model card beside it"


def test_no_photograph_and_no_foreign_weights_are_in_the_repository() -> None:
    if not (CHECKOUT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    files = [name for name in listed.split("\0") if name]
    assert not [
        name
        for name in files
        if name.endswith((".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".onnx", ".pb", ".tflite"))
    ]
    large = [name for name in files if (CHECKOUT / name).is_file() and (CHECKOUT / name).stat().st_size > 2**20]
    assert not [name for name in large if not name.startswith("src/mien/weights/")], "only weights are over 1 MiB"


@pytest.mark.parametrize("script", ["run", "check-wheel", "renew-constraints"])
def test_the_scripts_of_ci_are_sound(script: str) -> None:
    path = CHECKOUT / ".ci" / script
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text()
    subprocess.run(["bash", "-n", str(path)], check=True)


@pytest.mark.parametrize(
    "target",
    ["demo", "test", "lint", "format", "hooks", "docs", "wheel", "check-wheel", "constraints", "clean", "help"],
)
def test_make_knows_its_targets_and_ci_calls_them(target: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "-n", target, f"VENV={tmp_path / 'none'}"],
        cwd=CHECKOUT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    run = (CHECKOUT / ".ci" / "run").read_text()
    assert [line for line in ("make test", "make docs", "make check-wheel") if f"step {line}\n" not in run] == []


def test_hooks_and_lint_use_one_ruff() -> None:
    hooks = (CHECKOUT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"ruff==([\d.]+)", hooks)) == {pins()["ruff"]}
    assert {"ruff check", "ruff format"} == set(re.findall(r"^ *entry: (ruff \w+)", hooks, re.M))


def test_warnings_are_errors_and_coverage_has_a_floor() -> None:
    tools = PROJECT["tool"]
    assert tools["pytest"]["ini_options"]["filterwarnings"][0] == "error"
    assert tools["coverage"]["report"]["fail_under"] >= 80
    assert re.search(r"^COVERAGE := \$\(if \$\(CI\),--cov ", (CHECKOUT / "Makefile").read_text(), re.M)


def test_make_says_what_it_needs_when_there_is_no_python(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "demo", "PYTHON=", f"VENV={tmp_path / 'none'}"],
        cwd=CHECKOUT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no Python 3.11 to 3.13 with venv found" in done.stderr
