"""The field's words: no bent word is a name or a phrase of the pages, and no class name has two meanings."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "mien"
PAGES = [*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(SOURCE / "weights").glob("*.md")]
# What the code once said -> what the field says.
WORDS = {
    "Wish": "a condition",
    "Plan": "a compiled condition",
    "Asked": "a request",
    "Way": "a sampler",
    "Truths": "labels",
    "truths": "labels",
    "Seen": "labelled or drawn faces",
    "Estimates": "predictions",
    "Readings": "predictions",
    "Look": "a feature spec",
    "Sight": "pooled features",
    "sights": "pooled features",
    "looks_of": "features, or masks",
    "joined": "concatenate",
    "Told": "on_progress",
    "Advance": "on_advance",
    "Track": "on_progress",
    "chances": "probabilities",
    "foretelling": "regression",
    "EASE": "a regulariser",
    "APART": "a separation weight",
    "stretched": "variance scaling",
    "free_part": "antithetic normals",
    "unasked": "photometric nuisance constraints",
    "UNASKED": "photometric nuisance constraints",
    "in_steps": "quantise",
    "from_steps": "dequantise",
    "grown_up": "adults only",
    "Workshop": "an inference worker",
    "Maker": "a model spec",
    "Entrance": "auth middleware",
    "Door": "auth middleware",
    "Refused": "an HTTP rejection",
    "Allowance": "a memory budget",
    "Shelf": "a TTL cache",
    "Rooms": "app state",
    "Desk": "a session",
    "Manners": "rate limits",
    "Impatient": "a header timeout",
    "Book": "an answer store",
    "Sum": "a logit ensemble",
    "Settler": "an age solver",
}
PHRASES = ("by lot", "foretold", "foretell", "grown-up", "turned nowhere", "readers of sex")


def names_of(tree: ast.AST) -> set[str]:
    """Every name that a file gives to something: classes, functions, arguments, variables, fields."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def bent_names(code: str) -> list[str]:
    """The bent words among the names of some code."""
    return sorted(names_of(ast.parse(code)) & WORDS.keys())


def doubles(codes: dict[str, str]) -> dict[str, list[str]]:
    """Public classes that two files define, by name."""
    homes = defaultdict(list)
    for place, code in codes.items():
        for node in ast.parse(code).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(place)
    return {name: places for name, places in homes.items() if len(places) > 1}


@cache
def sources() -> dict[str, str]:
    return {str(path.relative_to(SOURCE)): path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py")}


def test_no_public_class_name_is_given_twice() -> None:
    assert doubles(sources()) == {}


def test_names_are_the_field_s() -> None:
    found = {place: [f"{w}: say {WORDS[w]}" for w in bent_names(code)] for place, code in sources().items()}
    assert {place: words for place, words in found.items() if words} == {}


@pytest.mark.parametrize("phrase", PHRASES)
def test_pages_and_docstrings_use_no_bent_phrase(phrase: str) -> None:
    paths = [*PAGES, *SOURCE.rglob("*.py")]
    word = re.compile(rf"\b{re.escape(phrase)}\b", re.I)
    assert [str(path.relative_to(ROOT)) for path in paths if word.search(path.read_text(encoding="utf-8"))] == []


def test_a_planted_breach_is_seen() -> None:
    assert bent_names("class Wish:\n    def f(self, chances): sights = 1") == ["Wish", "chances", "sights"]
    assert doubles({"a.py": "class Block: ...", "b.py": "class Block: ...", "c.py": "class _Row: ..."}) == {
        "Block": ["a.py", "b.py"]
    }
