"""The contact sheet as a value: even shares, frames that stay, and an address that says it all."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("gradio", reason="the studio is an extra: pip install 'mien[studio]'")

from mien.apps.studio.crowd_sheet import MOST_FACES, SIZES_PX, SWEEP_AGES_YEARS, Mix, Sheet, SheetFace, sweep
from mien.apps.studio.crowd_view import link
from mien.core.errors import RequestError

WORDS = ("", "smiling", "smiling, not bald", "eyeglasses")
mixes = st.builds(
    Mix,
    seed=st.integers(0, 2**63 - 1),
    count=st.integers(1, MOST_FACES),
    women_percent=st.integers(0, 100),
    youngest_years=st.integers(1, 100),
    oldest_years=st.integers(1, 100),
    lean=st.integers(-100, 100),
    race=st.sampled_from([None, "White", "Asian"]),
    words=st.sampled_from(WORDS),
    size_px=st.sampled_from(SIZES_PX),
).map(Mix.checked)


@st.composite
def sheets(draw: st.DrawFn) -> Sheet:
    """Sheets after a few of the things that a person does to them."""
    sheet = Sheet(draw(mixes))
    for place, what in draw(st.lists(st.tuples(st.integers(0, MOST_FACES - 1), st.sampled_from("rls")), max_size=8)):
        place %= sheet.mix.count
        if what == "r":
            sheet = sheet.rolled(place)
        elif what == "l":
            sheet = sheet.with_lock(place, sheet.frame(place))
        else:
            sheet = sheet.with_lock(place, draw(st.sampled_from(sweep(sheet.frame(place)))))
    return sheet


@given(sheets())
def test_an_address_restores_the_very_faces(sheet: Sheet) -> None:
    again = Sheet.of_query(dict(parse_qsl(link(sheet))), seed=5)
    assert again.frames == sheet.frames
    assert again.mix == sheet.mix
    assert link(again) == link(sheet)


@given(mixes)
def test_the_shares_are_those_of_the_sliders(mix: Mix) -> None:
    frames = Sheet(mix).frames
    women = sum(frame.sex == "female" for frame in frames)
    assert abs(women - mix.count * mix.women_percent / 100) <= 0.5
    assert all(mix.youngest_years <= frame.age_years <= mix.oldest_years for frame in frames)


def test_all_women_and_no_women_are_exact() -> None:
    for percent, sex in ((100, "female"), (0, "male")):
        frames = Sheet(Mix(3, 50, women_percent=percent)).frames
        assert {frame.sex for frame in frames} == {sex}


@given(mixes, st.integers(0, 100))
def test_moving_the_women_slider_changes_only_who_must_change(mix: Mix, percent: int) -> None:
    before, after = Sheet(mix).frames, Sheet(replace(mix, women_percent=percent)).frames
    for old, new in zip(before, after, strict=True):
        assert (old.index, old.age_years) == (new.index, new.age_years)
        assert old.sex == new.sex or (new.sex == "female") == (percent > mix.women_percent)


@given(sheets(), mixes)
def test_locked_frames_stay_whatever_the_mix_becomes(sheet: Sheet, mix: Mix) -> None:
    later = sheet.with_mix(mix)
    for place, frame in sheet.locked.items():
        if place < later.mix.count:
            assert later.frames[place] == frame
            assert later.rolled(place).frames[place] == frame


def test_a_roll_changes_one_person_and_keeps_its_sex_and_age() -> None:
    sheet = Sheet(Mix(1, 30))
    after = sheet.rolled(4).frames
    assert [k for k, (a, b) in enumerate(zip(sheet.frames, after, strict=True)) if a != b] == [4]
    assert (after[4].sex, after[4].age_years) == (sheet.frames[4].sex, sheet.frames[4].age_years)
    assert sheet.rolled(4).rolled(4).frames[4] not in (after[4], sheet.frames[4])


def test_no_two_frames_are_one_face() -> None:
    sheet = Sheet(Mix(1, MOST_FACES))
    for place in range(0, MOST_FACES, 7):
        sheet = sheet.rolled(place).rolled(place)
    assert len({(frame.seed, frame.index) for frame in sheet.frames}) == MOST_FACES


def test_lean_moves_the_ages_and_not_the_sexes() -> None:
    young, even, old = (Sheet(Mix(9, 60, lean=lean)).frames for lean in (-80, 0, 80))
    means = [sum(frame.age_years for frame in frames) / 60 for frames in (young, even, old)]
    assert means[0] + 8 < means[1] < means[2] - 8
    assert [frame.sex for frame in young] == [frame.sex for frame in old]


def test_a_sweep_is_one_draw_of_chance_in_both_sexes_at_every_age() -> None:
    frame = SheetFace(3, 5, "male", 40.0, None, "smiling")
    variants = sweep(frame)
    assert len(variants) == 2 * len(SWEEP_AGES_YEARS)
    assert {(one.seed, one.index, one.words) for one in variants} == {(3, 5, "smiling")}
    assert [one.sex for one in variants] == ["female"] * 8 + ["male"] * 8


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"count": "0"}, "count: 0 given; allowed are 1 to 200"),
        ({"count": "9999"}, "count: 9999 given"),
        ({"count": "many"}, "count: 'many' given; a whole number is wanted"),
        ({"women": "101"}, "women: 101 given; allowed are 0 to 100"),
        ({"age": "old"}, "age: 'old' given; allowed: a range"),
        ({"age": "20-300"}, "300"),
        ({"seed": "-1"}, "seed: -1 given"),
        ({"size": "512"}, "size: 512 given; allowed: 128, 256"),
        ({"with": "purple"}, "purple"),
        ({"race": "Elf"}, "'Elf' given"),
        ({"rolls": "99-1"}, "frame: 99 given; allowed are 0 to 23"),
        ({"rolls": "x"}, "frame: 'x' given"),
        ({"locked": "1-7_1_x_30"}, "address: '7_1_x_30' is no face of a sheet"),
        ({"locked": "1-<script>"}, "is no face of a sheet"),
        ({"locked": "1-7_1_f_400"}, "is no face of a sheet"),
        ({"locked": "1-7_1_f_30_Elf_"}, "'Elf' given"),
    ],
)
def test_what_an_address_cannot_mean_is_told(query: dict[str, str], message: str) -> None:
    with pytest.raises(RequestError) as told:
        Sheet.of_query(query, seed=1)
    assert message in str(told.value)
    assert "\n" not in str(told.value)


@given(st.dictionaries(st.sampled_from(["count", "age", "seed", "rolls", "locked", "with", "race", "lean"]), st.text()))
def test_no_address_breaks_it(query: dict[str, str]) -> None:
    with contextlib.suppress(RequestError):
        assert len(Sheet.of_query(query, seed=1).frames) <= MOST_FACES
