"""`mien attributes` shows the whole vocabulary; `mien crowd --with` reads it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from mien.attributes import GROUPS, NAMES, understand_all
from mien.core.errors import RequestError
from mien.pipelines.request import crowd_request

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
        assert all(understand_all(word).attributes == {attribute["name"]: True} for word in attribute["words"])
        assert all(understand_all(word).attributes == {attribute["name"]: False} for word in attribute["words_for_not"])


def attributes_of(text: str) -> dict[str, bool]:
    return dict(crowd_request(text).request.labels.attributes)


def test_the_crowd_reads_the_same_words_and_tells_what_it_was_not_taught() -> None:
    assert attributes_of("smile, not glasses") == {"Smiling": True, "Eyeglasses": False}
    assert attributes_of("moustache, beard, without hat") == {
        "Mustache": True,
        "No Beard": False,
        "Wearing Hat": False,
    }
    read = crowd_request("smiling, sunglasses")
    assert dict(read.request.labels.attributes) == {"Smiling": True}
    assert "not known to this model, and left out: 'sunglasses'" in read.left_out
    with pytest.raises(RequestError, match=r"--with: not known to this model, and left out: 'sunglasses'"):
        crowd_request("sunglasses")
    with pytest.raises(RequestError, match=r"--with: 'bald' and 'black hair' exclude each other \(hair\)"):
        crowd_request("bald, black hair")
    assert "how far is not known to this model: taken as 'smiling'" in crowd_request("smiling:0.5").left_out


def test_a_crowd_understands_who_and_how_old() -> None:
    request = crowd_request("old black men without beards").request
    assert (request.sex, request.race, request.description.ages_years) == ("male", "Black", (62, 85))
    assert dict(request.labels.attributes) == {"No Beard": True}
    assert crowd_request("women in their thirties", age="20-25").request.description.ages_years == (20, 25)
    with pytest.raises(RequestError, match="--sex: male given, but --with says woman"):
        crowd_request("woman", sex="male")
    with pytest.raises(RequestError, match="--race: Asian given, but --with says black"):
        crowd_request("black man", race="Asian")
    with pytest.raises(RequestError, match="--seed: -1 given"):
        crowd_request("woman", seed=-1)
