"""The tab Imagine without a browser: chips and words, stories and links, what is made of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from crowd_tiny import write_tiny_weights
from hypothesis import given
from hypothesis import strategies as st
from imagine_tiny import tiny_density

from mien.apps.studio import imagine_page as page
from mien.apps.studio import imagine_slow as slow
from mien.apps.studio.imagine_chips import BOARD, CHIPS, LABELS, strengths_of, wanted_of
from mien.apps.studio.imagine_history import EditHistory, captions_of
from mien.apps.studio.imagine_jobs import make
from mien.attributes import GROUPS, NAMES, understand
from mien.core.errors import RequestError
from mien.generators.imagine import density
from mien.generators.imagine import mien as imagine_mien
from mien.generators.imagine.mien import DecoderRenderer, Imagine
from mien.pipelines.edit import EditSampler
from mien.pipelines.edit_request import COUNTS, DEGREES, LONGEST, YEARS, EditRequest, link_of, request_of
from mien.pipelines.imagine_optimised import OnStep
from mien.pipelines.pictures import Picture
from mien.pipelines.request import Description
from mien.pipelines.vocabulary import AGE, AGE_WORDS, with_value

FACES = EditRequest("words", (("Male", False), ("Smiling", True)), None, 7, 8)


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, bool | float]:
    """One attribute of each of some groups, so that nothing contradicts itself."""
    groups = draw(st.lists(st.sampled_from([g for g in GROUPS if g.name != "attractiveness"]), unique=True, max_size=6))
    value = st.booleans() | st.integers(1, 99).map(lambda percent: percent / 100)
    wanted = {draw(st.sampled_from(group.members)): draw(value) for group in groups}
    if wanted.get("Bald") and wanted.get("Bangs"):
        del wanted["Bangs"]
    return wanted


def test_every_attribute_has_a_chip_and_every_chip_is_understood() -> None:
    assert {chip.attribute for chip in CHIPS.values()} == set(NAMES)
    assert sum(len(chips) for _, chips in BOARD) == len(CHIPS)
    for chip in CHIPS.values():
        assert understand(chip.label).description.attributes == {chip.attribute: chip.there}
    assert set(LABELS) <= set(NAMES)
    assert [chip.label for chip in BOARD[0][1]][:2] == ["woman", "man"]


@given(conditions(), st.none() | st.tuples(st.integers(1, 50), st.integers(50, 100)))
def test_words_and_chips_say_the_same(wanted: dict[str, bool | float], ages: tuple[int, int] | None) -> None:
    found = understand(Description(wanted, ages).words)
    assert dict(found.description.attributes) == pytest.approx(wanted)
    assert found.description.ages_years == ages
    assert not found.remark
    assert wanted_of(strengths_of(wanted)) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        ({"robot": 1.0}, "chips: not understood, and left out: 'robot'"),
        ({"smiling": 1.5}, "a strength is a number from 0 to 1"),
        ({"man": 1.0, "woman": 1.0}, "contradict each other"),
        ({"bald": 1.0, "black hair": 1.0}, "exclude each other"),
    ],
)
def test_chips_that_cannot_be_are_refused(shown: dict[str, float], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        wanted_of(shown)


@given(conditions(), st.sampled_from(NAMES), st.booleans() | st.floats(0.1, 0.9))
def test_what_is_set_puts_away_what_it_excludes(
    wanted: dict[str, bool | float], attribute: str, value: bool | float
) -> None:
    after = with_value(wanted, attribute, value)
    assert after[attribute] == value
    understand(Description(after).words)  # nothing contradicts it


def test_steps_keep_what_their_face_was_made_for() -> None:
    near = FACES.near(3, 0.85, 11, 12)
    assert near.wanted == FACES.wanted
    hair = near.change(0, "Gray Hair")
    assert hair.count == len(DEGREES)
    assert dict(hair.kept_of(0)[0])["Gray Hair"] is False
    assert dict(hair.kept_of(2)[0])["Gray Hair"] == 0.4
    assert dict(hair.kept_of(6)[0])["Gray Hair"] is True
    old = hair.change(6, AGE)
    assert old.kept_of(len(YEARS) - 1)[1] == (80.0, 80.0)
    assert len(captions_of(old)) == old.count
    with pytest.raises(RequestError, match="face: no. 9 given; there are 8"):
        FACES.near(8, 0.5, 1, 8)
    with pytest.raises(RequestError, match="attribute: 'Wings' given"):
        FACES.change(0, "Wings")


def test_a_history_goes_back_and_forth_and_forgets_what_was_undone() -> None:
    history = EditHistory().push(FACES).push(FACES.near(0, 0.9, 1, 8)).push(FACES.change(1, "Bald"))
    assert history.undoable
    assert not history.redoable
    back = history.undo().undo()
    assert back.now == FACES
    assert not back.undoable
    assert back.undo() == back
    assert back.redo().redo() == history
    assert history.redo() == history
    other = back.push(FACES.near(2, 0.6, 2, 8))
    assert len(other.edits) == 2
    assert not other.redoable
    assert history.go_to(99) == history
    assert EditHistory().go_to(3) == EditHistory()
    long = EditHistory()
    for seed in range(LONGEST + 5):
        long = long.push(EditRequest("words", (), None, seed, 8))
    assert len(long.edits) == LONGEST
    assert long.now is not None
    assert long.now.seed == LONGEST + 4


def test_a_link_brings_the_same_step() -> None:
    first = EditRequest("words", (("Male", False), ("Smiling", 0.6)), (20.0, 35.0), 2**40, 12, typical=True)
    step = first.near(3, 0.85, 5, 16).change(15, "5 o' Clock Shadow").change(2, AGE).near(0, 0.6, 9, 8)
    link = link_of(step)
    assert link["words"] == "woman, 20 to 35 years, smiling:0.6"
    assert request_of(link) == step
    assert EditHistory.ending_at(step).undo().undo().undo().undo().now == first


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ({"words": "robot"}, "words: not understood"),
        ({"words": "smiling", "seed": "-1"}, "seed: '-1' given; allowed are 0 to"),
        ({"words": "smiling", "seed": "x"}, "seed: 'x' given"),
        ({"words": "smiling", "seed": "1", "count": "99"}, "count: '99' given; allowed are 1 to 16"),
        ({"words": "smiling", "seed": "1", "then": "fly.1"}, "then: 'fly.1' given; wanted are near"),
        ({"words": "smiling", "seed": "1", "then": "near.9.50.1.8"}, "face: no. 9 given; there are 8"),
        ({"words": "smiling", "seed": "1", "then": "near.1.101.1.8"}, "closeness: '101' given"),
        ({"words": "smiling", "seed": "1", "then": "change.1.Wings"}, "attribute: 'Wings' given"),
        ({"words": "smiling", "seed": "1", "then": "~".join(["near.1.50.1.8"] * LONGEST)}, "steps given"),
    ],
)
def test_a_link_that_cannot_be_says_why(link: Mapping[str, str], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        request_of(link)


@given(st.dictionaries(st.sampled_from(["words", "seed", "count", "then", "typical"]), st.text(max_size=20)))
def test_any_address_is_read_or_refused(link: dict[str, str]) -> None:
    try:
        step = request_of(link)
    except RequestError:
        return
    assert 1 <= step.count <= COUNTS[-1]


def test_the_words_of_the_edits_are_those_of_the_density() -> None:
    assert density.AGE == AGE
    assert imagine_mien.AGE_WORDS == AGE_WORDS


@pytest.fixture(name="sampler")
def _sampler(tmp_path: Path) -> EditSampler:
    renderer = DecoderRenderer.load(write_tiny_weights(tmp_path / "crowd.safetensors"))
    return EditSampler(Imagine(tiny_density(), renderer, "tiny"))


def test_sheets_are_made_again_the_same_and_each_way_differs(sampler: EditSampler) -> None:
    near = FACES.near(3, 0.85, 11, 8)
    changed = near.change(2, "Eyeglasses")
    answers = make(sampler, [FACES, near, changed])
    assert [len(pictures) for pictures in answers] == [8, 8, len(DEGREES)]
    again = make(EditSampler(sampler.imagine), [changed])[0]
    for one, other in zip(answers[2], again, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
    rows = [picture.row for picture in answers[2]]
    assert rows[0]["attributes"]["Eyeglasses"] is False
    assert "then=near.4.85.11.8~change.3.Eyeglasses" in rows[0]["made_by"].replace("%7E", "~")
    assert len({picture.image.tobytes() for pictures in answers for picture in pictures}) > 20


def test_likeness_is_nearer_than_chance_and_a_change_changes_that_alone(sampler: EditSampler) -> None:
    base = sampler.features(FACES)[3]
    others = np.linalg.norm(sampler.features(FACES) - base, axis=1)
    near = np.linalg.norm(sampler.features(FACES.near(3, 0.95, 11, 8)) - base, axis=1)
    assert near.mean() < 0.6 * others[others > 0].mean()
    found = sampler.features(FACES.change(3, "Eyeglasses"))
    density = sampler.imagine.density
    scores = density.probes.scores(density.frame.codes(found))[:, density.probes.index("Eyeglasses")]
    wanted = [density.probes.level("Eyeglasses", degree) for degree in DEGREES]
    np.testing.assert_allclose(scores, wanted, atol=1e-4)


def test_a_wrong_order_does_not_stop_its_neighbours(sampler: EditSampler) -> None:
    unknown = EditRequest("words", (("Bald", True),), None, 1, 8)  # the tiny density knows four attributes
    wrong, right = make(sampler, [unknown, FACES])
    assert isinstance(wrong, RequestError)
    assert len(right) == 8


def test_the_page_escapes_what_people_write() -> None:
    evil = "<img src=x onerror=alert(1)>\"'"
    faces = [page.Shown(f"pictures/a/{evil}", evil, evil)]
    history = EditHistory().push(FACES)
    for html in (page.sheet(faces, evil), page.sheet(faces, evil, pickable=False), page.large(faces[0], evil)):
        assert "<img src=x" not in html
    assert page.sheet([], "nobody") == ""
    assert "aria-current=step" in page.trail(history, "pictures/t/imagined.zip")
    assert page.trail(EditHistory()) == ""
    board = page.board({"smiling": 0.5, "hat": -1.0})
    assert board.count('aria-pressed="true"') == 2
    assert "not hat</button>" in board
    assert 'value="50"' in board


def test_slow_methods_tell_their_steps_and_stop_when_nobody_waits() -> None:
    begun: list[int] = []

    def make(_: object, wanted: Mapping[str, bool | float], seed: int, count: int, progress: OnStep) -> list[Picture]:
        for step in range(1, 6 if seed else 1_000_000):
            begun.append(step)
            progress(step, 0.0)
            time.sleep(0.001)
        return [Picture(np.zeros((4, 4, 3), np.uint8), {"file": "0.png"})]

    went = list(slow.optimised("visualise", {"Smiling": True}, 1, make))
    assert [going.step for going in went] == [0, 1, 2, 3, 4, 5, slow.STEPS]
    assert len(went[-1].pictures) == 1
    assert went[2].words == f"Step 2 of {slow.STEPS}"

    endless = slow.optimised("visualise", {"Smiling": True}, 0, make)
    assert [next(endless).step for _ in range(4)] == [0, 1, 2, 3]
    second = slow.optimised("visualise", {"Smiling": True}, 1, make)
    assert [next(second).step for _ in range(2)] == [0, -1], "somebody else's is made first"
    endless.close()
    assert [going.step for going in second if going.step > 0][-1] == slow.STEPS
    steps = len(begun)
    time.sleep(0.05)
    assert len(begun) == steps


def test_slow_methods_hand_over_what_went_wrong() -> None:
    def make(*_: object) -> list[Picture]:
        raise RequestError("words: none")

    with pytest.raises(RequestError, match="words: none"):
        list(slow.optimised("invert", {}, 1, make))
    assert slow.ONE_AT_A_TIME.acquire(timeout=1)
    slow.ONE_AT_A_TIME.release()
