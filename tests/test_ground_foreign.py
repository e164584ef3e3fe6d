"""What others wrote is data: text on a line, text in HTML, JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.core.foreign import escaped, in_html, json_of, one_line


@pytest.mark.parametrize(
    "text",
    ["IMG 1.jpg", "gr\u00fc\u00df.png", "\u4eba\u3000\u7269", "3.15\u202fPM", "\U0001f468\u200d\U0001f469", "a\u200cb"],
)
def test_names_of_all_tongues_are_shown_as_they_are(text: str) -> None:
    assert escaped(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\nb", "a\\nb"), ("\x1b[2K", "\\x1b[2K"), ("a\u202eb", "a\\u202eb"), ("\u2028", "\\u2028"),
     ("\udc80", "\\udc80"), ("\x9b31m", "\\x9b31m"), ("\ufeffa", "\\ufeffa"), ("\0", "\\x00")],
)  # fmt: skip
def test_what_would_act_on_a_terminal_is_shown(text: str, shown: str) -> None:
    assert escaped(text) == shown


@given(st.text(st.characters()))
def test_whatever_it_is_stays_one_line_and_can_be_written(text: str) -> None:
    for shown in (escaped(text), one_line(text), in_html(text)):
        assert len(shown.splitlines()) <= 1
        assert not {one for one in shown if one < " " or "\x7f" <= one < "\xa0"}
        shown.encode()
    assert not set("<>\"'") & set(in_html(text))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "NaN", "[Infinity]", "-Infinity", "", "{", "9" * 5000, b"\xff"]
)
def test_json_that_cannot_be_is_a_value_error_of_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z"):
        json_of(text)


def test_too_much_json_is_not_even_read() -> None:
    with pytest.raises(ValueError, match="allowed are 10"):
        json_of("[1,2,3,4,5,6]", most_bytes=10)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_good_json_is_read_as_it_is(value: object) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps(value).encode()):
        assert json_of(text) == value


def test_halves_of_pairs_are_replaced_and_pairs_stay() -> None:
    assert json_of('["\\ud800", {"\\udfff": "\\ud83d\\ude00"}]') == ["\ufffd", {"\ufffd": "\U0001f600"}]
