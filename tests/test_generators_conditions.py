"""Labels as numbers: unknown is zeros, each label has a place of its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.core.errors import RequestError
from mien.core.records import Labels
from mien.generators.conditions import ATTRIBUTES, GROUPS, RACES, WIDTH, condition

LABELS = st.builds(
    Labels,
    st.sampled_from([None, "female", "male"]),
    st.none() | st.floats(0, 110),
    st.none(),
    st.sampled_from([None, *RACES]),
    st.dictionaries(st.sampled_from(sorted(ATTRIBUTES)), st.booleans()),
)


def test_groups_part_the_condition() -> None:
    places = [place for group in GROUPS for place in range(WIDTH)[group]]
    assert places == list(range(WIDTH))
    assert len(GROUPS) == 3 + len(ATTRIBUTES)


def test_nothing_known_is_zeros() -> None:
    assert not condition(Labels()).any()
    assert condition(Labels()).dtype == np.float32
    assert condition(Labels()).shape == (WIDTH,)


@given(LABELS)
def test_a_group_is_zero_exactly_where_its_label_is_unknown(labels: Labels) -> None:
    values = condition(labels)
    known = [labels.sex is not None, labels.age_years is not None, labels.race is not None]
    known += [name in labels.attributes for name in ATTRIBUTES]
    assert np.isfinite(values).all()
    assert np.abs(values).max(initial=0) <= 1.2 + 1e-6  # an age of 110 years
    for group, expected in zip(GROUPS, known, strict=True):
        assert values[group].any() == expected
        assert values[group][0] == float(expected)  # its flag


@given(LABELS, LABELS)
def test_labels_that_differ_have_conditions_that_differ(one: Labels, other: Labels) -> None:
    same = np.array_equal(condition(one), condition(other))
    if (one.sex, one.race, one.attributes) != (other.sex, other.race, other.attributes):
        assert not same
    elif one.age_years == other.age_years:
        assert same


def test_ages_a_year_apart_are_told_apart_and_nonsense_is_clipped() -> None:
    rows = np.stack([condition(Labels(age_years=float(years)))[GROUPS[1]] for years in range(1, 101)])
    gaps = np.abs(np.diff(rows, axis=0)).max(1)
    assert gaps.min() > 0.02
    assert gaps[:5].min() > gaps[-5:].max()  # children change faster
    assert np.array_equal(condition(Labels(age_years=-3.0)), condition(Labels(age_years=0.0)))
    assert np.array_equal(condition(Labels(age_years=1e9)), condition(Labels(age_years=110.0)))


def test_soft_scores_stand_for_attributes() -> None:
    soft = condition(Labels("female"), {"Smiling": 0.25})
    hard = condition(Labels("female", attributes={"Smiling": True}))
    assert soft[GROUPS[3]].tolist() == [1.0, 0.25]
    assert hard[GROUPS[3]].tolist() == [1.0, 1.0]
    assert condition(Labels(attributes={"Smiling": False}))[GROUPS[3]].tolist() == [1.0, -1.0]
    both = condition(Labels(attributes={"Smiling": True}), {"Smiling": -0.5})
    assert both[GROUPS[3]].tolist() == [1.0, -0.5]


def test_an_unknown_race_is_refused() -> None:
    with pytest.raises(RequestError, match="race: 'Green' given; allowed: White, Black, Asian, Indian, Other"):
        condition(Labels(race="Green"))


def test_the_words_of_the_command_line_are_words() -> None:
    words = list(ATTRIBUTES.values())
    assert len(set(words)) == len(words)
    assert all(word == word.lower() and " " not in word and not word.startswith("not-") for word in words)
