"""Words are tested: commands in the pages parse, links lead somewhere, named tests and make targets exist."""

from __future__ import annotations

import pkgutil
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

CHECKOUT = Path(__file__).resolve().parent.parent
PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("benchmarks/*.md")])
ENDS_OF_COMMAND = {"|", "||", "&&", ";", ">", ">>", "2>", "<", "#", "&"}


@dataclass(frozen=True, slots=True)
class Command:
    """One shell command that a page shows."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def shell_commands(text: str) -> Iterator[tuple[str, ...]]:
    """The words of every command in code blocks of a shell (or of no language) and in `inline code`.

    Prompts, comments, pipes and redirections are cut off; a line ending in a backslash goes on.
    """
    blocks = re.findall(r"^ *```(?:sh|bash|shell|console|text)?\n(.*?)^ *```", text, re.M | re.S)
    inline = re.findall(
        r"(?<!`)`((?:mien|make) [^`\n]+)`(?!`)", re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)
    )
    for line in re.sub(r"\\\n\s*", " ", "\n".join([*blocks, *inline])).splitlines():
        lexer = shlex.shlex(re.sub(r"^\s*\$ ", "", line), posix=True, punctuation_chars="&;<>")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        try:
            words = list(lexer)
        except ValueError:  # prose with an apostrophe, or output
            continue
        for index, word in enumerate(words):
            if word in ENDS_OF_COMMAND:
                words = words[:index]
                break
        if words:
            yield tuple(words)


def commands(first: str) -> list[Command]:
    return [
        Command(str(page.relative_to(CHECKOUT)), words)
        for page in PAGES
        for words in shell_commands(page.read_text(encoding="utf-8"))
        if words[0] == first and len(words) > 1
    ]


@cache
def command_tree() -> Any:
    """The command line as typer builds it."""
    from mien.apps.cli import app

    return typer.main.get_command(app)


def fault_of(words: tuple[str, ...]) -> str | None:
    """What is wrong with ``mien WORDS``: an unknown command or option, an option without its value; else ``None``.

    Values are not judged (a page may say ``DIR`` or ``paper|mien``). Square brackets around what may be left out go.
    """
    command, path, rest = command_tree(), "mien", [word.strip("[]") for word in words]
    while rest and hasattr(command, "commands"):
        if rest[0].startswith("-"):
            break
        name = rest.pop(0)
        if name not in command.commands:
            return f"{path}: no command '{name}', there are: {', '.join(sorted(command.commands))}"
        command, path = command.commands[name], f"{path} {name}"
    allowed: dict[str, bool] = {"--help": False}  # option -> takes a value
    for parameter in command.params:
        if parameter.param_type_name == "option":
            takes_value = not (parameter.is_flag or parameter.count)
            allowed |= dict.fromkeys([*parameter.opts, *parameter.secondary_opts], takes_value)
    while rest:
        word = rest.pop(0)
        if not re.match(r"--?[A-Za-z]", word):
            continue
        option, equals, _ = word.partition("=")
        if option not in allowed:
            return f"{path}: no option '{option}', there are: {', '.join(sorted(allowed))}"
        if allowed[option] and not equals:
            if not rest or re.match(r"--[A-Za-z]", rest[0]):
                return f"{path}: option '{option}' needs a value"
            rest.pop(0)
    return None


@pytest.mark.parametrize("command", commands("mien"), ids=str)
def test_every_command_of_the_pages_exists_with_its_options(command: Command) -> None:
    assert fault_of(command.words[1:]) is None


@pytest.mark.parametrize("command", commands("make"), ids=str)
def test_every_make_target_of_the_pages_exists(command: Command) -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (CHECKOUT / "Makefile").read_text(), re.M)
    assert phony is not None
    targets = {word for word in command.words[1:] if "=" not in word}
    assert targets <= set(phony[1].split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    targets = re.findall(r"\]\(([^)\s]+)[^)]*\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    local = [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]
    missing = [target for target in local if not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_tests_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"`(tests/\w+\.py)(?:::(\w+))?`", page.read_text(encoding="utf-8"))
    for file, name in named:
        source = CHECKOUT / file
        assert source.is_file(), f"{file} does not exist"
        if name:
            assert re.search(rf"^def {name}\(", source.read_text(), re.M), f"{file} has no {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_files_and_modules_that_a_page_names_exist(page: Path) -> None:
    text, source = page.read_text(encoding="utf-8"), CHECKOUT / "src" / "mien"
    files = re.findall(r"`((?:src/mien/)?\w+/[\w/]+\.py)`", text)
    assert not [name for name in files if not ((CHECKOUT / name).exists() or (source / name).exists())]
    modules = re.findall(r"`(mien(?:\.[a-z_]\w*)+)`", text)
    for name in modules:
        pkgutil.resolve_name(name)


def test_each_convention_is_proved() -> None:
    text = (CHECKOUT / "docs" / "conventions.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.M)[1:]
    assert [int(section.split(".")[0]) for section in sections] == list(range(1, len(sections) + 1))
    assert len(sections) > 8
    for section in sections:
        assert re.search(r"^Proved by `tests/\w+\.py::\w+`", section, re.M), section.splitlines()[0]


def test_every_page_is_reached_from_the_index() -> None:
    index = (CHECKOUT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = [page.relative_to(CHECKOUT / "docs").as_posix() for page in PAGES if page.is_relative_to(CHECKOUT / "docs")]
    assert not [page for page in pages if page != "index.md" and f"({page})" not in index]


LONGEST_SENTENCE = 240  # two lines
LONGEST_CELL = 100


def shown(text: str) -> str:
    """Words as a reader sees them: no targets of links, no stars."""
    return re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("**", "")


def sentences(text: str) -> Iterator[str]:
    """The sentences of a page's prose, without code blocks, headings, tables, pictures and lists of proofs."""
    paragraphs: list[list[str]] = [[]]
    for line in re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S).splitlines():
        words = line.strip()
        if not words or words.startswith(("|", "#", "![", ":::", "<")) or line.startswith("    "):
            paragraphs.append([])
        elif item := re.match(r"(?:[-*]|\d+\.) +", words):
            paragraphs.append([words[item.end() :]])
        else:
            paragraphs[-1].append(words)
    for paragraph in paragraphs:
        if paragraph and not paragraph[0].startswith(("Proved by", "Tests:")):
            yield from re.split(r"(?<=[.!?])[)\"*]*\s+", " ".join(paragraph))


def cells(text: str) -> Iterator[str]:
    """The cells of a page's tables; a command in one counts nothing."""
    for line in text.splitlines():
        if line.startswith("|"):
            yield from (re.sub(r"`[^`]*`", "", cell) for cell in line.strip("|").split("|"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_sentences_are_short_and_cells_hold_no_paragraph(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not [words for words in sentences(text) if len(shown(words)) > LONGEST_SENTENCE]
    assert not [cell for cell in cells(text) if len(shown(cell)) > LONGEST_CELL]


def test_a_long_sentence_and_a_long_cell_would_be_seen() -> None:
    page = f"# {'w ' * 200}\n\nOne. {'two ' * 70}.\n- `{'c ' * 99}`.\n| a | {'b ' * 60} |\n"
    assert len([words for words in sentences(page) if len(shown(words)) > LONGEST_SENTENCE]) == 1
    assert len([cell for cell in cells(page) if len(shown(cell)) > LONGEST_CELL]) == 1


def test_the_reference_names_what_there_is() -> None:
    """``make docs`` reads the sources; this finds a name that has moved without building the pages."""
    named = [
        name
        for page in (CHECKOUT / "docs" / "reference").glob("*.md")
        for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.M)
    ]
    assert len(named) > 5
    assert [name for name in named if not callable(found := pkgutil.resolve_name(name)) and not found.__doc__] == []


def test_the_changelog_is_by_version_with_one_line_an_entry() -> None:
    import mien

    text = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", text, re.M)
    assert headings[0] == mien.__version__
    assert len(headings) == len(re.findall(r"^## ", text, re.M))
    assert not [line for line in text.splitlines() if line.startswith(" ") or len(line) > 125]


def test_a_wrong_command_in_a_page_would_be_seen() -> None:
    assert fault_of(("nonsense",)) is not None
    assert fault_of(("--nonsense",)) is not None
    assert fault_of(("models", "fetch", "--nonsense")) is not None
    assert fault_of(("models", "fetch", "--from")) is not None
    assert fault_of(("models", "fetch", "[--from", "FILE]")) is None
    assert fault_of(("--version",)) is None
    page = """Text `mien a --b`.
```sh
# no
$ mien c \\
  --d 'e f' | less  # why
make demo && mien g
```
```python
mien = 1
```
"""
    assert list(shell_commands(page)) == [("mien", "c", "--d", "e f"), ("make", "demo"), ("mien", "a", "--b")]
