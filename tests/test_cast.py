"""Cast lists as people keep them: the dialects of spreadsheets, cells in words, file names, every wrong cell."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from crowd_tiny import tiny_crowd, write_tiny_weights
from hypothesis import given
from hypothesis import strategies as st

from mien.core.errors import CellsError, RequestError
from mien.core.photos import png_texts, read_photo
from mien.core.tables import column_letters, read_table
from mien.generators.crowd.sampler import Crowd
from mien.pipelines.cast import Cast, cast_of_table, index_of
from mien.pipelines.pictures import safe_stem
from mien.provenance.watermark import mark

Cli = Callable[..., subprocess.CompletedProcess[str]]
PEOPLE = (
    'Count,WORDS,Name,age,sex,seed\n,"smiling, glasses",Zo\u00eb,20-35,female,\n2,,Ben,thirties,m,5\n,bald man,,,,\n'
)


def cast_of(text: str, preset: str = "mien") -> Cast:
    return cast_of_table(read_table(text.encode(), "cast.csv"), "cast.csv", preset)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


def rows_of(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


# Tables


DIALECTS = {
    "commas": (",", "utf-8", "\n"),
    "Excel, UTF-8": (",", "utf-8-sig", "\r\n"),
    "Excel, semicolons": (";", "utf-8-sig", "\r\n"),
    "Excel, Windows": (";", "cp1252", "\r\n"),
    "Excel, Unicode text": ("\t", "utf-16", "\r\n"),
    "UTF-16 without a mark": (",", "utf-16-le", "\n"),
    "UTF-16, big end": (",", "utf-16-be", "\r"),
    "bars": ("|", "utf-8", "\n"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_says_the_same(dialect: str) -> None:
    sign, encoding, end = DIALECTS[dialect]
    lines = [
        ("name", "age", "words"),
        ("Zo\u00eb", "30", f'"a{sign} ""b"" c"'),
        ("", "", ""),
        ('"two\nlines"', "1", ""),
    ]
    text = end.join(sign.join(line) for line in lines) + end
    table = read_table(text.encode(encoding), "x")
    assert table.columns == ("name", "age", "words")
    assert table.rows == ((2, ("Zo\u00eb", "30", f'a{sign} "b" c')), (4, ("two\nlines", "1", "")))


def test_excel_says_its_sign_in_the_first_line() -> None:
    assert read_table(b"sep=|\r\na,b|c\r\n1|2\r\n", "x").columns == ("a,b", "c")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "x: empty"),
        (b"\n , \n", "x: empty"),
        (b"PK\x03\x04\x14", "x: a workbook (Excel, LibreOffice or Numbers); save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1", "x: an old Excel workbook; save it as CSV"),
        (b"name\n\x81\x8d", "x: in an encoding that is not known; save it as CSV"),
        (b"\xff\xfea\x00\xd8", "x: neither UTF-8 nor UTF-16"),
        (b"a,b\x01\x00c\n", "x: not text"),
        (b'name,age\n"Ann,30\n', "x: not CSV"),
    ],
)
def test_what_is_no_table_is_told(data: bytes, said: str) -> None:
    with pytest.raises(RequestError) as refused:
        read_table(data, "x")
    assert str(refused.value).startswith(said)


@given(st.binary(max_size=200))
def test_no_bytes_end_in_anything_but_a_table_or_a_sentence(data: bytes) -> None:
    said = "x: "
    try:
        cast_of_table(read_table(data, "x"), "x")
    except RequestError as error:
        said = str(error)
    assert said.startswith("x: ")


def test_columns_are_called_as_in_the_spreadsheet() -> None:
    assert [column_letters(place) for place in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


# Rows


def test_columns_in_any_order_and_cells_in_words() -> None:
    cast = cast_of(PEOPLE)
    first, second, third = cast.rows
    assert cast.count == 4
    assert (first.number, first.stem) == (2, "Zo\u00eb")
    assert [row.request.sex for row in cast.rows] == ["female", "male", "male"]
    assert first.request.labels.attributes == {"Smiling": True, "Eyeglasses": True}
    assert [row.request.description.ages_years for row in cast.rows] == [(20, 35), (30, 39), None]
    assert (second.request.count, second.request.seed) == (2, 5)
    assert (third.stem, third.request.seed) == ("row-4", None)
    assert third.cells == {"words": "bald man"}


@pytest.mark.parametrize(
    ("cell", "ages"),
    [("30", (30, 30)), ("30.0", (30, 30)), ("20 - 35", (20, 35)), ("20\u201335", (20, 35)), ("30s", (30, 39)),
     ("in her late fifties", (57, 59)), ("about 60", (57, 63)), ("teenager", (13, 19)), ("child", (3, 12)),
     ("over 40", (40, 100)), ("25 years old", (25, 25)), ('"34,5"', (34.5, 34.5)), ("30 y", (30, 30))],
)  # fmt: skip
def test_ages_in_figures_and_words(cell: str, ages: tuple[float, float]) -> None:
    assert cast_of(f"age\n{cell}\n").rows[0].request.description.ages_years == ages


@pytest.mark.parametrize("cell", ["12. Mrz", "10. Okt", "02.03.2026", "2026-03-02", "3/2/26", "20-Mar", "10 f\u00e9vr"])
def test_dates_that_spreadsheets_of_any_language_make_are_named(cell: str) -> None:
    with pytest.raises(CellsError, match="a date that the spreadsheet made of a range"):
        cast_of(f"age\n{cell}\n")


def test_empty_is_what_programs_call_empty_but_for_names() -> None:
    row = cast_of("name,age,sex,words,race,seed,count\nNa,NaN,n/a,-,null,NA,none\n").rows[0]
    assert (row.stem, row.cells, row.request.count) == ("Na", {"name": "Na"}, 1)


def test_every_wrong_cell_is_told_at_once() -> None:
    text = (
        "name;age;sex;race;seed;count;words;look\n"
        "a;10-Dec;robot;Green;1,2E+10;0;smilng;natural\n"
        "b;200;;;-1;x;bald, not bald;\n"
        "c;30;female;;;;a man;\n"
        "d;30;;asian;7.0;2;tall, smiling;;stray\n"
        "fine;30;;;;;;\n"
    )
    with pytest.raises(CellsError) as refused:
        cast_of(text)
    told = [str(cell) for cell in refused.value.cells]
    begins = [
        "row 2, age: '10-Dec' given; allowed: one age (30), a range (20-35) or words",
        "row 2, race: 'Green' given; allowed: White, Black, Asian, Indian, Other",
        "row 2, look: the preset 'mien' has one look; allowed with --preset painter",
        "row 2, seed: '1,2E+10' given; a whole number is wanted; the spreadsheet has rounded it",
        "row 2, count: 0 given; allowed are 1 to 1000000",
        "row 2, words: not understood, and left out: 'smilng' (near: smiling",
        "row 2, sex: 'robot' given; allowed: female, male, any",
        "row 3, age: '200' given",
        "row 3, seed: -1 given; allowed are 0 to 2^63 - 1",
        "row 3, count: 'x' given; a whole number is wanted",
        "row 3, words: 'bald' and 'not bald' contradict each other",
        "row 4, sex: female given, but words says man",
        "row 5, column I: 'stray' given right of the last column",
    ]
    assert len(told) == len(begins)
    for begin in begins:
        assert [line for line in told if line.startswith(begin)], begin
    assert "a date that the spreadsheet made of a range?" in told[0] + told[1]
    assert str(refused.value).startswith("cast.csv: 13 cells cannot be read: row 2, ")


def test_what_a_preset_does_not_know_is_told_of_its_cell() -> None:
    with pytest.raises(CellsError) as refused:
        cast_of("age,race,words,look\n3,,,\n,White,,\n,,bald,\n", "paper")
    assert [(cell.row, cell.column) for cell in refused.value.cells] == [(2, "age"), (3, "race"), (4, "words")]
    assert cast_of("look\nNatural\n", "painter").rows[0].look == "natural"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Ann,34\nBen,40\n", "the first row names none of the columns name, sex, age"),
        ("name,aeg\nAnn,3\n", "column 'aeg': unknown; did you mean 'age'?"),
        ("name,age,Age\nAnn,3,4\n", "names the column 'age' 2 times"),
        ("name,age\n,\n,-\n", "no row says anything"),
        ("count\n" + "1000000\n" * 2, "--count: 2000000 given"),
    ],
)
def test_a_list_that_cannot_be(text: str, said: str) -> None:
    with pytest.raises(RequestError, match="^") as refused:
        cast_of(text)
    assert said in str(refused.value)


def test_other_columns_are_left_alone_and_told() -> None:
    cast = cast_of("name,Agency,age,,phone\nAnn,X,30,,123\n")
    assert cast.not_read == ("Agency", "phone")
    assert cast.rows[0].cells == {"name": "Ann", "age": "30"}


def test_words_that_were_left_out_are_told_of_their_row() -> None:
    assert [str(one) for one in cast_of("words\nsmiling\nsmiling and blimpish\n").remarks] == [
        "row 3, words: not understood, and left out: 'blimpish'"
    ]


# Names of files


@pytest.mark.parametrize(
    ("name", "stem"),
    [("Ann", "Ann"), ("Zoe\u0308 O'Neil / 2", "Zo\u00eb-O-Neil-2"), ("../../etc/passwd", "etc-passwd"),
     ("a\\b:c*?", "a-b-c"), (".hidden", "hidden"), ("con", "_con"), ("LPT1.x", "_LPT1.x"),
     ("\u674e\u96f7", "\u674e\u96f7"), ("a\u202egnp.exe", "a-gnp.exe"),
     ("line\nbreak", "line-break"), ("...", ""), ("\ud800", ""), ("x" * 300, "x" * 80), ("-rf", "rf"), ("~", "")],
)  # fmt: skip
def test_names_are_safe_as_files(name: str, stem: str) -> None:
    assert safe_stem(name) == stem


@given(st.text())
def test_no_name_leaves_its_folder(name: str) -> None:
    stem = safe_stem(name)
    assert Path(stem).name == stem
    assert len(stem.encode()) <= 81
    assert not stem.startswith((".", "-"))


def test_each_file_is_named_once_whatever_its_capitals(weights: Path, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "c.csv").write_text("name,count\nann,\nANN,\nsheet,\nbob,2\nBob-1,\nbob,2\n")
    done = cli("crowd", "--cast", tmp_path / "c.csv", "--weights", weights, "--out", tmp_path / "o", "--sheet")
    assert done.returncode == 0, done.stderr
    names = [str(row["file"]) for row in rows_of(tmp_path / "o")]
    assert names == ["ann.png", "ANN-2.png", "sheet-2.png", "bob-1.png", "bob-2.png", "Bob-1-2.png", "bob-2-1.png",
                     "bob-2-2.png"]  # fmt: skip
    assert len({name.casefold() for name in [*names, "sheet.png"]}) == 9
    assert {path.name for path in (tmp_path / "o").iterdir()} == {*names, "sheet.png", "manifest.jsonl"}


# The command


def test_a_cast_is_made_as_its_rows_say(weights: Path, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "c.csv").write_bytes(PEOPLE.encode("utf-16"))
    out = tmp_path / "out"
    done = cli("crowd", "--cast", tmp_path / "c.csv", "--seed", 3, "--weights", weights, "--out", out)
    assert (done.returncode, done.stdout) == (0, f"4 faces in {out} (seed 3)\n"), done.stderr
    rows = rows_of(out)
    assert [row["file"] for row in rows] == ["Zo\u00eb.png", "Ben-1.png", "Ben-2.png", "row-4.png"]
    assert [row["row"] for row in rows] == [2, 3, 3, 4]
    assert rows[1]["cells"] == {"name": "Ben", "age": "thirties", "sex": "m", "seed": "5", "count": "2"}
    made = Crowd(tiny_crowd())
    bens = made.sample(2, sex="male", age=(30, 39), seed=5)
    zoe = made.sample(1, sex="female", age=(20, 35), attributes={"Smiling": True, "Eyeglasses": True}, seed=3,
                      first=index_of("Zo\u00eb"))  # fmt: skip
    for row, face in zip(rows, [*zoe, *bens], strict=False):
        assert np.array_equal(read_photo(out / str(row["file"])), mark(face.image))
        assert (row["seed"], row["index"], row["age"]) == (face.seed, face.index, face.labels.age_years)
        assert json.loads(png_texts((out / str(row["file"])).read_bytes())["mien"]) == row


def test_moved_and_changed_rows_are_resumed(weights: Path, tmp_path: Path, cli: Cli) -> None:
    file, out = tmp_path / "c.csv", tmp_path / "out"
    words = ("crowd", "--cast", file, "--weights", weights, "--out", out)
    file.write_text("name,age\nann,30\nben,40\ncid,50\n")
    assert cli(*words).returncode == 0
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.glob("*.png")}
    file.write_text("name,age\ndan,60\ncid,50\nann,31\n")
    done = cli(*words, "--resume")
    assert done.returncode == 0, done.stderr
    assert ", 1 were there)" in done.stdout
    after = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.glob("*.png")}
    assert {name for name in before if before[name] == after[name]} == {"ben.png", "cid.png"}
    assert [(row["file"], row["row"]) for row in rows_of(out)] == [
        ("dan.png", 2), ("cid.png", 3), ("ann.png", 4), ("ben.png", 3)
    ]  # fmt: skip
    assert len({row["seed"] for row in rows_of(out)}) == 1


def test_nothing_is_made_of_a_list_with_a_wrong_cell(tmp_path: Path, cli: Cli) -> None:
    file = tmp_path / "c.csv"
    file.write_text("name,age\nann,30\nben,old enough\ncid,0\n\x1b[31m,999\n")
    done = cli("crowd", "--cast", file, "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert [line.partition(" given")[0] for line in lines[:3]] == [
        f"mien: {file}: row 3, age: 'old enough'", f"mien: {file}: row 4, age: '0'", f"mien: {file}: row 5, age: '999'"
    ]  # fmt: skip
    assert lines[3:] == [f"mien: {file}: 3 cells cannot be read; no face was made"]
    assert not (tmp_path / "out").exists()


def test_a_list_says_itself_what_options_would(tmp_path: Path, cli: Cli) -> None:
    for words in (("--count", 3), ("--sex", "male"), ("--age", 3), ("--with", "bald"), ("a man",), ("--race", "White")):
        done = cli("crowd", "--cast", tmp_path / "c.csv", "--out", tmp_path / "out", *words)
        assert done.returncode == 2
        assert done.stderr.endswith("given with --cast; each row of the list says it for itself\n")
    done = cli("crowd", "--cast", tmp_path / "c.csv", "--out", tmp_path / "out")
    assert done.stderr == (
        f"mien: --cast: {tmp_path / 'c.csv'} cannot be read (No such file or directory); a CSV file is wanted\n"
    )
