"""Lists and sentences as people write them, read by the one reader of text."""

from __future__ import annotations

import pytest

from mien.attributes.sentences import understand, understand_or_refuse
from mien.core.errors import RequestError


@pytest.mark.parametrize(
    ("text", "words", "remark"),
    [
        ("Smiling woman with glasses", "woman, smiling, eyeglasses", ""),
        ("slightly smiling man with freckles", "man, slightly smiling", "not understood, and left out: 'freckles'"),
        ("no glasses, beard:0.3, woman:0.8", "woman:0.8, no eyewear, beard:0.3", ""),
        ("woman in her thirties", "woman, 30 to 39 years", ""),
    ],
)
def test_what_was_understood_and_what_was_not_are_lines_for_people(text: str, words: str, remark: str) -> None:
    found = understand(text)
    assert found.words == words
    assert found.remark.startswith(remark)
    assert bool(found.remark) == bool(remark)
    assert understand(found.words).description == found.description


def test_what_a_model_was_not_taught_is_left_out_and_told() -> None:
    found = understand("slightly smiling woman", avoid="beard", known={"Smiling"}, strengths=False)
    assert dict(found.description.attributes) == {"Smiling": True}
    assert "not known to this model, and left out: 'woman', 'not beard'; it knows smiling" in found.remark
    assert "taken as 'smiling'" in found.remark


def test_what_to_avoid_contradicts_what_is_wanted() -> None:
    assert dict(understand("woman", avoid="hat, smiling:0.3").description.attributes) == {
        "Male": False, "Wearing Hat": False, "Smiling": 0.7,
    }  # fmt: skip
    with pytest.raises(RequestError, match="WORDS and --avoid: "):
        understand("smiling", avoid="smiling")
    with pytest.raises(RequestError, match="--avoid: 'in her thirties' given; an age"):
        understand("woman", avoid="in her thirties")


def test_text_of_which_nothing_is_understood_is_refused() -> None:
    with pytest.raises(RequestError, match="words: not understood, and left out: 'xyzzy'"):
        understand_or_refuse("xyzzy", option="words")
    assert understand_or_refuse("").nothing
