"""Who sees what: equally often, never twice, at random, and the same again."""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from study_tiny import design_of

from mien.evaluation.study.assignment import practice_of, real_on_left, trials_of, window

POOLS = st.integers(1, 40).flatmap(lambda pool: st.tuples(st.just(pool), st.integers(1, pool)))


@given(POOLS, st.integers(0, 60), st.integers(0, 2**40))
def test_a_window_holds_nothing_twice_and_counts_stay_level(pools: tuple[int, int], slots: int, seed: int) -> None:
    pool, take = pools
    seen: Counter[int] = Counter(dict.fromkeys(range(pool), 0))
    for slot in range(slots):
        chosen = window(pool, take, slot, seed=seed)
        assert len(set(chosen)) == take
        seen.update(chosen)
        assert max(seen.values()) - min(seen.values()) <= 1  # after every slot


def test_neighbours_on_the_ring_do_not_stay_neighbours() -> None:
    together = Counter(
        frozenset(pair)
        for slot in range(400)
        for chosen in [window(20, 5, slot, seed=3)]
        for pair in [(a, b) for a in chosen for b in chosen if a < b]
    )
    # 400 windows of 10 pairs over 190 pairs: 21 each by chance; one ring for ever would give 100 or 0.
    assert len(together) == 190
    assert max(together.values()) < 60


@settings(max_examples=25)
@given(st.integers(1, 3), st.integers(1, 6), st.integers(0, 3), st.integers(0, 3), st.integers(0, 9), st.integers(0, 2))
def test_a_session_is_balanced_and_reproducible(
    models: int, trials_a_model: int, scrambled: int, cards: int, slot: int, attempt: int
) -> None:
    names = tuple("abc"[:models])
    design = design_of(names, pool=7, trials_a_model=trials_a_model, scrambled=scrambled, cards=cards)
    trials = trials_of(design, slot, attempt)
    assert trials == trials_of(design, slot, attempt)
    assert [trial.place for trial in trials] == list(range(design.places))
    faces = [trial for trial in trials if not trial.catch]
    assert Counter(trial.source for trial in faces) == {
        "real": trials_a_model * models,
        **dict.fromkeys(names, trials_a_model),
    }
    shown = [trial.picture for trial in trials if trial.picture]
    assert len(shown) == len(set(shown))
    assert Counter(trial.kind for trial in trials if trial.catch) == Counter(scrambled=scrambled, card=cards)
    assert not trials[0].catch
    assert all(trial.real == (trial.kind == "card" or trial.source == "real") for trial in trials)
    again = trials_of(design, slot, attempt + 1)  # the same pictures for whoever takes the slot next
    assert {t.picture for t in again} == set(shown) | {""} - ({""} if not cards else set())


def test_orders_differ_between_people_and_carry_no_pattern() -> None:
    design = design_of(pool=40, trials_a_model=10)
    orders = [tuple(trial.real for trial in trials_of(design, slot) if not trial.catch) for slot in range(60)]
    assert len(set(orders)) == 60
    early = sum(sum(order[:20]) for order in orders)
    assert 480 < early < 720  # of 1,200, half of them real: 600


def test_catch_trials_are_spread_over_the_session() -> None:
    design = design_of(pool=40, trials_a_model=10, scrambled=4, cards=4)
    for slot in range(30):
        places = [trial.place for trial in trials_of(design, slot) if trial.catch]
        assert max(b - a for a, b in zip([0, *places], [*places, design.places], strict=True)) <= 2 * (40 / 8) + 4
        assert places[0] > 0


@pytest.mark.parametrize("pairs", [50])
def test_each_pair_of_slots_has_both_sides(pairs: int) -> None:
    design = design_of()
    sides = [real_on_left(design, slot) for slot in range(2 * pairs)]
    assert all(sides[2 * k] != sides[2 * k + 1] for k in range(pairs))
    assert len({sides[2 * k] for k in range(pairs)}) == 2  # which of the two comes first is a matter of chance


def test_practice_uses_pictures_of_its_own() -> None:
    design = design_of(practice=4)
    practised = {trial.picture for trial in practice_of(design, 0)}
    assert len(practised) == 4
    for slot in range(10):
        assert not practised & {trial.picture for trial in trials_of(design, slot)}
    assert {trial.real for trial in practice_of(design, 3)} == {True, False}
