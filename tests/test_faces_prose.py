"""What people write when nobody tells them how, and what is understood of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.attributes import GROUPS, NAMES, parse
from mien.attributes.prose import near, read
from mien.attributes.prose_words import DEGREES, FILLERS, PHRASES
from mien.attributes.words import WORDS, plain
from mien.core.errors import RequestError


@pytest.mark.parametrize(
    ("text", "wanted", "ages"),
    [
        ("smiling woman with glasses, no beard",
         {"Smiling": True, "Male": False, "Eyeglasses": True, "No Beard": True}, None),
        ("Please draw me a smiling woman!", {"Smiling": True, "Male": False}, None),
        ("a man who isn\u2019t bald and wears a tie", {"Male": True, "Bald": False, "Wearing Necktie": True}, None),
        ("not smiling, no beard or glasses", {"Smiling": False, "No Beard": True, "Eyeglasses": False}, None),
        ("without a hat and glasses", {"Wearing Hat": False, "Eyeglasses": False}, None),
        ("no hat and smiling", {"Wearing Hat": False, "Smiling": True}, None),
        ("no hat with glasses", {"Wearing Hat": False, "Eyeglasses": True}, None),
        ("neither beard nor glasses", {"No Beard": True, "Eyeglasses": False}, None),
        ("brown curly hair", {"Brown Hair": True, "Curly Hair": True}, None),
        ("brown, curly hair", {"Brown Hair": True, "Curly Hair": True}, None),
        ("brown-haired, round-faced", {"Brown Hair": True, "Round Face": True}, None),
        ("black man with brown eyes", {"Black": True, "Male": True, "Brown Eyes": True}, None),
        ("black curly hair", {"Black Hair": True, "Curly Hair": True}, None),
        ("soft light, black and white", {"Soft Lighting": True, "Color Photo": False}, None),
        ("slightly smiling", {"Smiling": 0.5}, None),
        ("smiling a little, quite chubby", {"Smiling": 0.5, "Chubby": 0.75}, None),
        ("80 % smiling and chubby:0.3", {"Smiling": 0.8, "Chubby": 0.3}, None),
        ("very chubby", {"Chubby": True}, None),
        ("a little girl smiling", {"Child": True, "Male": False, "Smiling": True}, None),
        ("boy, 8 years old", {"Male": True}, (8.0, 8.0)),
        ("young boy", {"Male": True, "Child": True}, None),
        ("not a boy", {"Male": False}, None),
        ("in her thirties", {"Male": False}, (30.0, 39.0)),
        ("she has a grandson's smile, in his early 60s", {"Male": False, "Smiling": True}, (60.0, 63.0)),
        ("man with her hat", {"Male": True, "Wearing Hat": True}, None),
        ("woman aged between 20 and 35", {"Male": False}, (20.0, 35.0)),
        ("20-35, woman", {"Male": False}, (20.0, 35.0)),
        ("30-year-old", {}, (30.0, 30.0)),
        ("woman, 30", {"Male": False}, (30.0, 30.0)),
        ("over 60", {}, (60.0, 100.0)),
        ("under 30", {}, (16.0, 30.0)),
        ("under 10", {}, (1.0, 10.0)),
        ("in their teens", {}, (13.0, 19.0)),
        ("man with a 5 o'clock shadow", {"Male": True, "5 o' Clock Shadow": True}, None),
        ("", {}, None),
    ],
)  # fmt: skip
def test_what_is_understood(text: str, wanted: dict[str, bool | float], ages: tuple[float, float] | None) -> None:
    found = read(text)
    assert dict(found.wanted) == wanted
    assert found.ages_years == ages


@pytest.mark.parametrize(
    ("text", "unknown", "remark"),
    [
        ("long brown hair", ["long hair"], "not understood, and left out: 'long hair' (near: "),
        ("woman with blue eyes", ["blue eyes"], "not understood, and left out: 'blue eyes'"),
        ("wizard with a hatt", ["wizard", "hatt"], "not understood, and left out: 'wizard', 'hatt' (near: hat"),
        ("smiling woman", [], ""),
    ],
)
def test_what_is_not_understood_is_told_and_the_rest_stands(text: str, unknown: list[str], remark: str) -> None:
    found = read(text)
    assert [each.word for each in found.unknown] == unknown
    assert found.remark.startswith(remark)
    assert bool(found.remark) == bool(unknown)
    assert read(f"smiling, {text}").wanted["Smiling"] is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bald man with black hair", "words: 'bald' and 'black hair' exclude each other (hair)"),
        ("a woman and a man", "words: 'woman' and 'man' contradict each other"),
        ("black and brown hair", "words: 'black hair' and 'brown hair' exclude each other (hair)"),
        ("a man of 130 years", "words: '130 years' given; ages go from 1 to 100"),
        ("aged 40 to 20", "words: 'aged 40 to 20' given; ages go from 1 to 100, the lower one first"),
        ("very smiling:2 man", "words: 'smiling:2' given; a strength is a number from 0 to 1, as in smiling:0.8"),
        ("smiling:2", "words: 'smiling:2' given; a strength is a number from 0 to 1, as in smiling:0.8"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        read(text)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_the_tables_are_plain_and_speak_of_what_there_is() -> None:
    for phrase, meaning in PHRASES.items():
        assert phrase == plain(phrase)
        assert phrase not in WORDS, f"{phrase}: words.py knows it already"
        assert {name for name, _ in meaning} <= set(NAMES)
    assert not FILLERS & (set(WORDS) | set(PHRASES)) - {"old"}
    assert all(0 < degree <= 1 for degree in DEGREES.values())
    assert near("smilling")[0] == "smiling"


SAID = [
    *WORDS,
    *PHRASES,
    *FILLERS,
    *DEGREES,
    "not ",
    "no ",
    "without",
    ",",
    ":",
    "0.5",
    "80 %",
    "-",
    "'",
    "7",
    "30s",
    "\n",
]
WRITTEN = st.lists(st.sampled_from(SAID), max_size=14).map(" ".join) | st.lists(st.sampled_from(SAID)).map("".join)


@given(st.text(max_size=40) | WRITTEN)
def test_anything_is_read_or_refused(text: str) -> None:
    try:
        found = read(text)
    except RequestError:
        return
    assert set(found.wanted) <= set(NAMES)
    for group in GROUPS:
        assert sum(found.wanted.get(name, 0) for name in group.members) <= 1 + 1e-9
    if found.ages_years:
        assert 1 <= found.ages_years[0] <= found.ages_years[1] <= 100


@given(WRITTEN)
def test_a_list_that_parse_reads_means_the_same(text: str) -> None:
    try:
        wanted = parse(text)
    except RequestError:
        return
    assert dict(read(text).wanted) == wanted


@pytest.mark.parametrize(("words", "unknown"), [("%¹", "¹"), ("smiling %9 hat", "9"), ("%%x", "x")])
def test_a_sign_before_a_word_is_no_strength(words: str, unknown: str) -> None:
    assert [one.word for one in read(words).unknown] == [unknown]
