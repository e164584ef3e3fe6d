"""`mien attributes` shows the whole vocabulary; `mien crowd --with` reads it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from mien.apps.cli.crowd import parse_attributes
from mien.attributes import GROUPS, NAMES, parse
from mien.core.errors import RequestError

CliHere = Callable[..., Result]


def test_the_table_shows_each_group_with_its_attributes(cli_here: CliHere) -> None:
    done = cli_here("attributes")
    assert done.exit_code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    assert [row[1] for row in rows if row[1]] == [name for group in GROUPS for name in group.members]
    assert [row[0] for row in rows if row[0]] == [group.name for group in GROUPS]
    male = next(row for row in rows if row[1] == "Male")
    assert male[2].startswith("man, ")
    assert male[3].startswith("female, woman, ")
    assert ["eyewear", "No Eyewear", "no glasses, without glasses", "", "(label unknown)"] in rows


def test_json_has_73_names_in_42_groups_and_words_that_parse(cli_here: CliHere) -> None:
    rows = json.loads(cli_here("attributes", "--json").stdout)
    assert len(rows) == 42
    listed = [attribute for row in rows for attribute in row["attributes"]]
    assert sorted(attribute["name"] for attribute in listed) == sorted(NAMES)
    assert [(row["group"], row["none"]) for row in rows] == [(group.name, group.none) for group in GROUPS]
    for attribute in listed:
        assert all(parse(word) == {attribute["name"]: True} for word in attribute["words"])
        assert all(parse(word) == {attribute["name"]: False} for word in attribute["words_for_not"])


def test_the_crowd_reads_the_same_words_and_refuses_what_it_was_not_taught() -> None:
    assert parse_attributes("smile, not glasses") == {"Smiling": True, "Eyeglasses": False}
    assert parse_attributes("moustache, beard, without hat") == {
        "Mustache": True,
        "No Beard": False,
        "Wearing Hat": False,
    }
    with pytest.raises(RequestError, match=r"--with: 'sunglasses' given, which this model was not taught.*; allowed: "):
        parse_attributes("sunglasses")
    with pytest.raises(RequestError, match=r"--with: 'bald' and 'black hair' exclude each other \(hair\)"):
        parse_attributes("bald, black hair")
    with pytest.raises(RequestError, match="--with: 'smiling:0.5' given; strengths are not understood here"):
        parse_attributes("smiling:0.5")
