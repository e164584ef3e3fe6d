"""What holds for every dataset format, and what they all stand on."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.core.errors import RequestError, SourceError
from mien.core.records import Labels, SourcePhoto
from mien.core.tables import csv_cells
from mien.datasets.reasons import REASONS, Reason
from mien.datasets.sources import SOURCES, find
from mien.datasets.sources.listing import image_names, read_lines, text_key, with_unique_keys


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_every_source_keeps_the_contract(name: str, tmp_path: Path) -> None:
    source = find(name.upper().replace("_", "-"))
    assert source is SOURCES[name]
    assert source.name == name
    assert source.licence
    assert "\n" not in source.licence
    assert (source.fetch is not None) == (name == "pubfig")
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for wrong in ("absent", "file", "empty"):
        with pytest.raises(SourceError) as caught:
            source.rows(tmp_path / wrong, None)
        message = str(caught.value)
        assert wrong in message
        assert "looked for" in message
        assert "\n" not in message


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(RequestError, match=r"'lwf': allowed are celeba, folder, .*vggface2; did you mean lfw\?"):
        find("lwf")
    with pytest.raises(KeyError):
        SOURCES["lwf"]
    assert "lwf" not in SOURCES
    assert len(SOURCES) == 7


def test_listing_the_names_loads_no_format_and_nothing_heavy() -> None:
    code = "import sys, mien.datasets.sources as s; sorted(s.SOURCES); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"torch", "cv2", "scipy", "httpx", "PIL", "mien.datasets.sources.lfw"}


def test_every_reason_has_a_sentence() -> None:
    assert set(REASONS) == set(get_args(Reason))
    assert len(get_args(Reason)) == len(set(get_args(Reason)))
    assert all(word.isidentifier() and word.islower() for word in REASONS)
    assert all(sentence and not sentence.endswith(".") for sentence in REASONS.values())


def test_listing_reads_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "UTKFace"
    directory.mkdir()
    for index in range(20_000):
        os.close(os.open(directory / f"{index % 117}_{index % 2}_{index % 5}_{10**16 + index}.jpg", os.O_CREAT))

    def forbidden(*words: object, **more: object) -> None:
        raise AssertionError(f"opened {words}")

    monkeypatch.setattr(builtins, "open", forbidden)
    monkeypatch.setattr(Path, "open", forbidden)
    start = time.process_time()
    photos = list(find("utkface").rows(tmp_path, None))
    seconds = time.process_time() - start
    assert len(photos) == 20_000
    assert seconds < 3  # of one core; 200,000 names take 4 s


@given(st.lists(st.sampled_from(["a", "b", "a#2", "a#3", "b#2#2"]), max_size=12))
def test_keys_become_unique_and_first_ones_stay(names: list[str]) -> None:
    keys = [photo.key for photo in with_unique_keys(SourcePhoto(name, name, Labels()) for name in names)]
    assert len(keys) == len(set(keys)) == len(names)
    assert all(key.startswith(name) for key, name in zip(keys, names, strict=True))
    if len(names) == len(set(names)):
        assert keys == names


@given(st.one_of(st.binary(min_size=1, max_size=30).map(os.fsdecode), st.text(st.characters(), max_size=30)))
def test_keys_are_unicode(name: str) -> None:
    text_key(name).encode("utf-8")
    if name.isprintable() and name.isascii():
        assert text_key(name) == name


def test_a_name_that_is_not_utf8_is_listed_and_can_be_opened(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (photo,) = find("folder").rows(tmp_path, None)
    assert photo.key == "caf\\xe9.jpg"
    assert Path(photo.path).read_bytes() == b"x"


def test_depth(tmp_path: Path) -> None:
    for name in ("a.jpg", "x/b.jpg", "x/y/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert image_names(tmp_path, depth=1) == ["a.jpg"]
    assert image_names(tmp_path, depth=2) == ["a.jpg", "x/b.jpg"]
    assert image_names(tmp_path) == ["a.jpg", "x/b.jpg", "x/y/c.jpg"]


@given(st.text(max_size=40))
def test_no_line_of_csv_raises(line: str) -> None:
    cells = csv_cells(line)
    assert cells
    assert all(cell == cell.strip() for cell in cells)


def test_lines_of_any_encoding(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"\xef\xbb\xbfa\r\nb\rcaf\xe9\n\x85")
    assert read_lines(tmp_path / "t") == ["a", "b", "caf\ufffd", "\ufffd"]
    with pytest.raises(SourceError, match="cannot be read"):
        read_lines(tmp_path)
