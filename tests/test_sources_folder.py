from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mien.core.errors import SourceError
from mien.core.records import Labels, SourcePhoto
from mien.datasets.reasons import REASONS
from mien.datasets.sources import find


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def read(source_dir: Path, table: str | None = None) -> dict[str, SourcePhoto]:
    labels = None
    if table is not None:
        labels = source_dir.parent / "given.csv"
        labels.write_text(table, encoding="utf-8")
    photos = list(find("folder").rows(source_dir, labels))
    assert [photo.key for photo in photos] == sorted(photo.key for photo in photos)
    return {photo.key: photo for photo in photos}


def test_all_images_without_labels(tmp_path: Path) -> None:
    others = ("notes.txt", ".hidden.jpg", "__MACOSX/b.jpg", "x.jpg/y.jpg")
    root = make(tmp_path / "p", "b.JPG", "a/deep/c.png", "a.webp", *others)
    (root / "loop").symlink_to(root)
    photos = read(root)
    assert list(photos) == ["a.webp", "a/deep/c.png", "b.JPG"]
    assert {photo.labels for photo in photos.values() if photo.labels != Labels()} == set()
    assert all(Path(photo.path).is_file() for photo in photos.values())


TABLE = """File,SEX,age,person,race,smiling,5_o'_clock_shadow
a.jpg,Female,36,Ada,White,yes,
./sub/b.jpg,m,2.5,,,0,1
c.jpg,,,,,,
d.jpg,robot,30,,,,
e.jpg,f,old,,,,
f.jpg,f,130,,,,
g.jpg,f,30,,,maybe,
h.jpg,f,30
i.jpg,f,30,,,,
i.jpg,m,30,,,,
gone.jpg,f,30,,,,
"j, the ""second"".jpg",woman,0,,,TRUE,no
"""


@pytest.mark.parametrize("table", [TABLE, "\ufeff" + TABLE, TABLE.replace("\n", "\r\n")])
def test_the_table(tmp_path: Path, table: str) -> None:
    names = [f"{letter}.jpg" for letter in "acdefghik"]
    photos = read(make(tmp_path / "p", "sub/b.jpg", 'j, the "second".jpg', *names), table)
    assert {key: photo.drop_reason for key, photo in photos.items() if photo.drop_reason} == {
        "d.jpg": "unknown_sex",
        "e.jpg": "unknown_label",
        "f.jpg": "age_out_of_range",
        "g.jpg": "unknown_label",
        "h.jpg": "bad_label_row",
        "i.jpg": "bad_label_row",
        "gone.jpg": "missing",
    }
    assert photos["a.jpg"].labels == Labels("female", 36.0, "Ada", "White", {"Smiling": True})
    assert photos["sub/b.jpg"].labels == Labels("male", 2.5, None, None, {"Smiling": False, "5 o' Clock Shadow": True})
    assert photos["c.jpg"].labels == photos["k.jpg"].labels == Labels()
    assert photos['j, the "second".jpg'].labels.age_years == 0
    assert photos["f.jpg"].labels.age_years is None


def test_labels_csv_in_the_folder_is_found_and_absolute_paths_are_understood(tmp_path: Path) -> None:
    root = make(tmp_path, "a.jpg", "b.jpg")
    (root / "labels.csv").write_text(f"file,sex\na.jpg,f\n{root / 'b.jpg'},m\n")
    assert [photo.labels.sex for photo in read(root).values()] == ["female", "male"]


def test_an_open_quote_spoils_only_its_own_line(tmp_path: Path) -> None:
    photos = read(make(tmp_path / "p", "a.jpg", "b.jpg"), 'file,sex\n"a.jpg,f\nb.jpg,m\n')
    assert photos["b.jpg"].labels.sex == "male"
    assert photos["a.jpg"].labels.sex is None


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("file,sexx", "unknown column 'sexx' (did you mean 'sex'?); allowed are file, sex, age, person, race and"),
        ("file,Smilling", "did you mean 'Smiling'?"),
        ("file:sex", "unknown column 'file:sex'"),
        ("sex,age", "no column 'file'"),
        ("file,sex,Sex", "'sex' stands there twice"),
        ("person", "no column 'file'"),
    ],
)  # fmt: skip
def test_headers_are_checked(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(make(tmp_path / "p", "a.jpg"), f"{header}\na.jpg,f\n")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_refused(tmp_path: Path) -> None:
    make(tmp_path, "notes.txt")
    for name, message in ((".", "found none"), ("no", "does not exist"), ("notes.txt", "is a file")):
        with pytest.raises(SourceError, match=message):
            find("folder").rows(tmp_path / name, None)


CELL = st.one_of(st.sampled_from(["f", "male", "30", "-1", "yes", "nan", "1e9", "٣", "²", ""]), st.text(max_size=6))


@given(st.lists(st.lists(CELL, max_size=4), max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_row_raises(tmp_path: Path, cells: list[list[str]]) -> None:
    root = make(tmp_path / "p", "a.jpg", "30")
    text = io.StringIO()
    csv.writer(text).writerows([["file", "sex", "age", "Smiling"], ["a.jpg", "f", "30", "1"], *cells])
    photos = read(root, text.getvalue().encode("utf-8", "replace").decode())
    assert "a.jpg" in photos
    assert {photo.drop_reason for photo in photos.values()} <= {None, *REASONS}
    assert len(photos) == len(set(photos))
    for photo in photos.values():
        assert photo.labels.age_years is None or 0 <= photo.labels.age_years <= 120


SAID = {"a.jpg": Labels("female", 36.0), "b.jpg": Labels("male", 20.5), "c.jpg": Labels()}
COMMAS = "file,sex,age\na.jpg,female,36\nb.jpg,male,20.5\nc.jpg,,\n"
DIALECTS: dict[str, bytes] = {
    "plain": COMMAS.encode(),
    "byte order mark, lines of Windows": COMMAS.replace("\n", "\r\n").encode("utf-8-sig"),
    "lines of old Macs": COMMAS.replace("\n", "\r").encode(),
    "UTF-16 of Excel": COMMAS.replace(",", "\t").encode("utf-16"),
    "UTF-16 without a mark": COMMAS.encode("utf-16-le"),
    "UTF-16, big end first": COMMAS.encode("utf-16-be"),
    "semicolons": COMMAS.replace(",", ";").encode(),
    "semicolons and decimal commas": COMMAS.replace(",", ";").replace("20.5", "20,5").encode(),
    "named semicolons": b"sep=;\r\n" + COMMAS.replace(",", ";").encode(),
    "tabs": COMMAS.replace(",", "\t").encode(),
    "quotes": b'"file","sex","age"\n"a.jpg","female","36"\n"b.jpg","male","20,5"\n"c.jpg","",""\n',
    "an index without a name": b",file,sex,age\n0,a.jpg,female,36\n1,b.jpg,male,20.5\n2,c.jpg,,\n",
    "an index of pandas": b"Unnamed: 0,file,sex,age\n0,a.jpg,female,36\n1,b.jpg,male,20.5\n2,c.jpg,,\n",
    "trailing commas": b"file,sex,age,\na.jpg,female,36,\nb.jpg,male,20.5,\nc.jpg,,,\n",
    "trailing commas in rows alone": b"file,sex,age\na.jpg,female,36,,\nb.jpg,male,20.5,\nc.jpg,,,\n",
    "a trailing comma in the head alone": b"file,sex,age,\na.jpg,female,36\nb.jpg,male,20.5\nc.jpg,,\n",
    "empty cells of pandas": b"file,sex,age\na.jpg,female,36\nb.jpg,male,20.5\nc.jpg,NaN,nan\n",
    "empty cells of R": b"file,sex,age\na.jpg,female,36\nb.jpg,male,20.5\nc.jpg,NA,NA\n",
    "empty cells of databases": b"file,sex,age\na.jpg,female,36\nb.jpg,male,20.5\nc.jpg,NULL,null\n",
}  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_tables_of_spreadsheets_say_the_same(tmp_path: Path, dialect: str) -> None:
    root = make(tmp_path / "p", "a.jpg", "b.jpg", "c.jpg")
    (root / "labels.csv").write_bytes(DIALECTS[dialect])
    photos = read(root)
    assert {key: photo.labels for key, photo in photos.items()} == SAID
    assert {photo.drop_reason for photo in photos.values()} == {None}


def test_infinity_and_words_that_are_no_age_are_told(tmp_path: Path) -> None:
    photos = read(make(tmp_path / "p", "a.jpg", "b.jpg"), "file,sex,age\na.jpg,Weiblich,36\nb.jpg,f,inf\n")
    assert {key: photo.drop_reason for key, photo in photos.items()} == {
        "a.jpg": "unknown_sex",
        "b.jpg": "unknown_label",
    }


NEAR = [
    ("IMG_1.JPG", "img_1.jpg", "in capitals or Unicode form"),
    ("n\u00e96.jpg", "ne\u03016.jpg", "in capitals or Unicode form"),  # as Windows and as macOS write it
    ("IMG_2.jpeg", "IMG_2.JPG", "in their ending"),
    ("n4", "n4.png", "in their ending"),
    ("sub/IMG 3.heic", "sub/img 3.jpg", "in their ending"),
]


@pytest.mark.parametrize(("said", "photo", "how"), NEAR)
def test_names_that_differ_in_capitals_form_or_ending_are_matched_and_told(
    tmp_path: Path, said: str, photo: str, how: str
) -> None:
    root = make(tmp_path / "p", photo, "other.jpg")
    (root / "labels.csv").write_text(f"file,sex\n{said},f\nother.jpg,m\n", encoding="utf-8")
    photos = read(root)
    assert {key: row.labels.sex for key, row in photos.items()} == {photo: "female", "other.jpg": "male"}
    remarks = find("folder").remarks
    assert remarks is not None
    (line,) = remarks(root, None)
    assert line == f"{root / 'labels.csv'}: 1 rows matched to photos whose names differ {how}, as '{said}' to '{photo}'"


def test_what_could_mean_two_photos_is_matched_to_none(tmp_path: Path) -> None:
    root = make(tmp_path / "p", "a.jpg", "A.JPG", "b.png", "b.jpg", "exact.jpg")
    (root / "labels.csv").write_text("file,sex\nA.jpg,f\nb,m\nEXACT.jpg,m\nexact.jpg,f\nexcat.jpg,m\n")
    photos = read(root)
    assert photos["exact.jpg"].labels.sex == "female"
    assert {photos[name].labels.sex for name in ("a.jpg", "A.JPG", "b.png", "b.jpg")} == {None}
    assert {key for key, row in photos.items() if row.drop_reason == "missing"} == {
        "A.jpg",
        "b",
        "EXACT.jpg",
        "excat.jpg",
    }
    remarks = find("folder").remarks
    assert remarks is not None
    assert remarks(root, None) == [
        f"{root / 'labels.csv'}: 4 rows name no photo; the first: 'A.jpg' (near it: 'A.JPG')"
    ]


def test_tables_of_windows_and_of_pandas(tmp_path: Path) -> None:
    root = make(tmp_path / "p", "Zo\u00eb.png", "bob.png", "NA.png")
    table = (
        'file,sex,person,Smiling,Bald\nZo\u00eb.png,f,"Zo\u00eb\nM",1.0,NAN\nbob.png,na,Na,-1.0,y\nNA.png,-,NA,0.0,n\n'
    )
    for data in (table.encode(), table.encode("cp1252"), table.replace(",", "|").encode(), table.encode("utf-16")):
        (tmp_path / "given.csv").write_bytes(data)
        photos = {photo.key: photo for photo in find("folder").rows(root, tmp_path / "given.csv")}
        assert {photo.drop_reason for photo in photos.values()} == {None}
        labels = {name: photo.labels for name, photo in photos.items()}
        assert labels["Zo\u00eb.png"] == Labels("female", None, "Zo\u00eb\nM", None, {"Smiling": True})
        assert labels["bob.png"] == Labels(None, None, "Na", None, {"Smiling": False, "Bald": True})
        assert labels["NA.png"] == Labels(None, None, None, None, {"Smiling": False, "Bald": False})


def test_one_spoilt_byte_does_not_make_utf_8_another_encoding(tmp_path: Path) -> None:
    root = make(tmp_path / "p", "Zo\u00eb.png", "bob.png")
    (tmp_path / "given.csv").write_bytes("file,sex,person\nZo\u00eb.png,f,\nbob.png,m,B".encode() + b"\xff\n")
    photos = {photo.key: photo.labels for photo in find("folder").rows(root, tmp_path / "given.csv")}
    assert photos == {"Zo\u00eb.png": Labels("female"), "bob.png": Labels("male", person="B\ufffd")}


def test_a_quote_that_nobody_closes_spoils_its_own_line(tmp_path: Path) -> None:
    root = make(tmp_path / "p", "a.jpg", "b.jpg", "c.jpg")
    photos = read(root, 'file,person,sex\na.jpg,"Ann,f\nb.jpg,5" Bob,m\nc.jpg,Cy,m\n')
    assert photos["b.jpg"].labels == Labels("male", None, '5" Bob')
    assert photos["c.jpg"].labels == Labels("male", None, "Cy")
    assert photos["a.jpg"].drop_reason == "bad_label_row"


@pytest.mark.parametrize(
    ("data", "said"), [(b"PK\x03\x04\0\0", "a workbook"), ("file,sex\n".encode("utf-32"), "in UTF-32; save it as CSV")]
)
def test_what_is_no_label_file_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    root = make(tmp_path / "p", "a.jpg")
    (tmp_path / "given.csv").write_bytes(data)
    with pytest.raises(SourceError, match=said):
        list(find("folder").rows(root, tmp_path / "given.csv"))
