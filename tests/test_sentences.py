"""Lists and sentences as people write them, read by the one reader of text.

``data/sentences.jsonl``: what is printed for a text, what of it is left out, or why it is refused.
``data/sentences_unseen.jsonl``: written before its author had seen the grammar, and never edited since.
``data/sentences_unseen_second.jsonl``: the same; 31 of 40 held before the grammar was mended for the rest (three of
the nine that did not had asked too much, and say now what a person means).
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.attributes import GROUPS, NAMES
from mien.attributes.grammar import LONGEST_TEXT
from mien.attributes.lexicon import DEGREES, FILLERS, MEANINGS, WORDS, plain
from mien.attributes.sentences import Understood, near, understand, understand_or_refuse
from mien.core.errors import RequestError

DATA = Path(__file__).parent / "data"
NARROWEST = 0.4  # of the years that "late thirties" may mean


def table(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", table("sentences.jsonl"), ids=lambda case: case["text"])
def test_a_text_means_what_a_person_means(case: dict[str, Any]) -> None:
    if "refused" in case:
        with pytest.raises(RequestError) as refused:
            understand(case["text"], option="words")
        assert str(refused.value) == f"words: {case['refused']}"
        return
    found = understand(case["text"])
    assert found.words == case["words"]
    assert [*(each.word for each in found.unknown), *found.unshowable] == case.get("left_out", [])
    assert bool(found.remark) == ("left_out" in case)


UNSEEN = [*table("sentences_unseen.jsonl"), *table("sentences_unseen_second.jsonl")]


@pytest.mark.parametrize("case", UNSEEN, ids=lambda case: case["text"])
def test_sentences_of_people_who_have_not_seen_the_grammar(case: dict[str, Any]) -> None:
    found = understand(case["text"])
    said = dict(found.description.attributes)
    for name, value in case["attributes"].items():
        assert (0 < said[name] < 1) if value == "degree" else (said[name] is value), name
    either = [either for either in case.get("one_of", [{}]) if either.items() <= said.items()]
    assert either
    assert set(said) <= {*case["attributes"], *either[0], *case.get("may", [])}
    assert_ages(found.description.ages_years, case)
    remark = found.remark.casefold()
    assert all(word in remark for word in [*case.get("unknown", []), *case.get("near", [])])
    assert not remark or "unknown" in case or "unknown_may" in case


def assert_ages(found: tuple[float, float] | None, case: dict[str, Any]) -> None:
    """Vague ages ("late thirties") may be read narrower than the writer meant, never wider."""
    if "ages_about" in case:
        assert found is not None
        assert found[0] <= case["ages_about"] <= found[1]
        assert found[1] - found[0] <= 10
    elif "ages" in case:
        low, high = case["ages"]
        assert found is not None
        assert low <= found[0] <= found[1] <= high
        assert found[1] - found[0] >= NARROWEST * (high - low)
    else:
        assert found is None


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("woman with a hatt", "not understood, and left out: 'hatt' (near: hat)"),
        ("brown woman", "not understood, and left out: 'brown' (near: brown hair, brown eyes, brown skin)"),
        ("freckled man with blue eyes", "understood, but no face here can show it: 'freckled', 'blue eyes'"),
        ("%¹", "not understood, and left out: '¹'"),
        ("a b c d e f g h i j k", "not understood, and left out: 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'j' and 1 more"),
    ],
)
def test_what_is_left_out_is_told_with_what_is_near(text: str, remark: str) -> None:
    assert understand(text).remark == remark
    assert understand(f"smiling, {text}").description.attributes["Smiling"] is True


def test_what_a_model_was_not_taught_is_left_out_and_told() -> None:
    found = understand("slightly smiling woman", avoid="beard", known={"Smiling"}, strengths=False)
    assert dict(found.description.attributes) == {"Smiling": True}
    assert found.remark == (
        "not known to this model, and left out: 'woman', 'not beard'; it knows smiling; "
        "how far is not known to this model: taken as 'smiling'"
    )


def test_old_is_an_age_in_years_to_a_model_that_knows_years_alone() -> None:
    assert understand("old smiling man", known={"Smiling"}).description.ages_years == (65, 100)
    assert understand("old man of 70", known={"Smiling"}).description.ages_years == (70, 70)
    assert understand("old man", known={"Senior"}).description.ages_years is None


def test_what_to_avoid_contradicts_what_is_wanted() -> None:
    avoided = understand("woman", avoid="hat, smiling:0.3").description.attributes
    assert dict(avoided) == {"Male": False, "Wearing Hat": False, "Smiling": 0.7}
    with pytest.raises(RequestError, match="WORDS and --avoid: 'smiling' and 'not smiling' contradict each other"):
        understand("smiling", avoid="smiling")
    with pytest.raises(RequestError, match="--avoid: 'in her thirties' given; an age"):
        understand("woman", avoid="in her thirties")


def test_text_of_which_nothing_is_understood_is_refused() -> None:
    with pytest.raises(RequestError, match="words: not understood, and left out: 'xyzzy'"):
        understand_or_refuse("xyzzy", option="words")
    with pytest.raises(RequestError, match="words: nothing of 'a person' was understood"):
        understand_or_refuse("a person", option="words")
    assert understand_or_refuse("").nothing
    with pytest.raises(RequestError, match=f"at most {LONGEST_TEXT} are read"):
        understand("x" * (LONGEST_TEXT + 1))


def test_the_lexicon_is_plain_and_speaks_of_what_there_is() -> None:
    for phrase, meaning in MEANINGS.items():
        assert phrase == plain(phrase)
        assert {name for name, _ in meaning} <= set(NAMES)
    assert not FILLERS & set(MEANINGS)
    assert all(0 < degree <= 1 for degree in DEGREES.values())
    assert near("smilling")[0] == "smiling"


PIECES = [*MEANINGS, *FILLERS, *DEGREES, "not ", "no ", "without", ",", ":", "0.5", "80 %", "-", "'", "7", "30s", "\n",
          "about", "forty", "two", "boys", ".", "or", "but", "she", "5'10\"", "\u201c", "😀", "=", "aged"]  # fmt: skip
WRITTEN = st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join) | st.lists(st.sampled_from(PIECES)).map("".join)


def read_or_refused(text: str) -> Understood | None:
    try:
        return understand(text)
    except RequestError:
        return None


@given(st.text(max_size=60) | WRITTEN)
def test_anything_is_read_or_refused_and_what_is_printed_means_the_same(text: str) -> None:
    found = read_or_refused(text)
    if found is None:
        return
    said, ages = found.description.attributes, found.description.ages_years
    assert set(said) <= set(NAMES)
    for group in GROUPS:
        assert sum(said.get(name, 0) for name in group.members) <= 1 + 1e-9
    assert ages is None or 1 <= ages[0] <= ages[1] <= 100
    again = understand(found.words)
    assert again.description == found.description
    assert not again.remark


ENTRIES = st.lists(
    st.tuples(st.sampled_from(["", "not ", "very "]), st.sampled_from([*WORDS]), st.sampled_from(["", "", ":0.5"])).map(
        "".join
    ),
    max_size=6,
)


@given(ENTRIES, st.randoms(use_true_random=False))
def test_the_order_of_a_list_does_not_matter(entries: list[str], random: Random) -> None:
    found = read_or_refused(", ".join(entries))
    random.shuffle(entries)
    again = read_or_refused(", ".join(entries))
    assert (found and found.description) == (again and again.description)
