"""Intervals that cover the truth, d' beside its definition, corrections, and the rule fixed beforehand."""

from __future__ import annotations

import dataclasses

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy.special import ndtr, ndtri
from study_tiny import design_of, judged_of

from mien.core.errors import RequestError, TooFewError
from mien.core.seeding import stream
from mien.evaluation.statistics import proportion
from mien.evaluation.study import crossed
from mien.evaluation.study.answers import Answer, JudgedTrials, Session, judged
from mien.evaluation.study.assignment import trials_of, window
from mien.evaluation.study.design import REAL, Design, Rule
from mien.evaluation.study.simulate import Truth, simulate


def made_up(design: Design, truth: Truth, people: int, seed: int) -> JudgedTrials:
    """The model of ``simulate``, written a second time as arrays."""
    random = stream(seed, "arrays")
    trials = design.of("trial")
    looks = random.normal(0, truth.pictures_sd, len(trials))
    mu = np.array([0.0 if one.source == REAL else truth.sensitivity[one.source] for one in trials])
    first = {source: [one.source for one in trials].index(source) for source in design.sources}
    rows = []
    for slot in range(people):
        for source in design.sources:
            size = len(design.of("trial", source))
            rows += [(slot, first[source] + k) for k in window(size, design.seen_of(source), slot, seed=1, name=source)]
    who, what = np.array(rows).T
    boundary = truth.middle + random.normal(0, truth.people_sd, people)
    said = mu[what] + looks[what] + random.normal(size=len(what)) < boundary[who]
    return judged_of(design, said, who, what)


@pytest.mark.parametrize(
    ("people", "truth"),
    [
        (20, Truth({"a": 0.5, "b": 1.4}, people_sd=0.35, pictures_sd=0.5)),  # both differ
        (20, Truth({"a": 0.5, "b": 1.4}, people_sd=0.0, pictures_sd=0.0)),  # answers are independent
        (12, Truth({"a": 0.0, "b": 0.0}, people_sd=0.8, pictures_sd=0.2, lean=0.5)),  # people most, and no difference
        (30, Truth({"a": 0.5, "b": 1.4}, people_sd=0.1, pictures_sd=1.0)),  # pictures most
    ],
)
def test_intervals_cover_the_truth(people: int, truth: Truth) -> None:
    design, rounds, trials = design_of(pool=24, trials_a_model=8), 150, 150
    covered: dict[str, int] = {}
    false_alarms = 0
    for seed in range(trials):
        drawn = crossed.resample(made_up(design, truth, people, seed), seed=seed, rounds=rounds)
        share = truth.called_real
        gaps = {pair: crossed.gap(drawn, *pair) for pair in ((REAL, "a"), (REAL, "b"), ("a", "b"))}
        found = {
            "real": (crossed.share(drawn, REAL), share(REAL)),
            "a": (crossed.share(drawn, "a"), share("a")),
            "gap": (gaps[REAL, "a"][0], share(REAL) - share("a")),
            "between": (gaps["a", "b"][0], share("a") - share("b")),
            "d' a": (crossed.sensitivity(drawn, "a", REAL)[0], truth.d_prime("a")),
            "d' b": (crossed.sensitivity(drawn, "b", REAL)[0], truth.d_prime("b")),
            "right": (crossed.correct(drawn, ["a"], REAL), (share(REAL) + 1 - share("a")) / 2),
        }
        for name, (interval, value) in found.items():
            covered[name] = covered.get(name, 0) + (interval.low <= value <= interval.high)
        adjusted = crossed.holm({str(pair): p for pair, (_, p) in gaps.items()})
        false_alarms += min(adjusted.values()) < 0.05
    rates = {name: count / trials for name, count in covered.items()}
    # 95 %, and four standard deviations of 150 trials below; never so wide that they always hold.
    assert all(rate > 0.88 for rate in rates.values()), rates
    assert sum(rates.values()) / len(rates) < 0.997, rates
    if not any(truth.sensitivity.values()):
        assert false_alarms / trials < 0.12  # any of three pairs, corrected: 5 %


def test_intervals_that_ignore_people_and_pictures_do_not_cover() -> None:
    truth = Truth({"a": 0.5, "b": 1.4}, people_sd=0.1, pictures_sd=1.0)
    design, covered = design_of(pool=24, trials_a_model=8), 0
    for seed in range(100):
        data = made_up(design, truth, 30, seed)
        said = data.said_real[data.sources == 1]
        naive = proportion(int(said.sum()), len(said))
        covered += naive.low <= truth.called_real("a") <= naive.high
    assert covered < 80


def test_independent_answers_have_the_binomial_variance() -> None:
    truth = Truth({"a": 0.5, "b": 1.4}, people_sd=0.0, pictures_sd=0.0)
    ratios = []
    for seed in range(30):
        data = made_up(design_of(pool=24, trials_a_model=8), truth, 24, seed)
        drawn = crossed.resample(data, seed=seed, rounds=400)
        share = drawn.hits[0] / drawn.answers[0]
        ratios.append(
            drawn.variance(lambda hits, n: hits[..., 0] / n[..., 0], REAL) / (share * (1 - share) / drawn.answers[0])
        )
    assert 0.95 < np.mean(ratios) < 1.5  # the floor of the larger term costs a little


@given(st.integers(0, 400), st.integers(1, 400))
def test_wilson_is_that_of_the_other_figures(hits: int, n: int) -> None:
    hits = min(hits, n)
    low, high = crossed.wilson(hits / n, n, 1.959963984540054)
    whole = proportion(hits, n)
    assert (low, high) == pytest.approx((whole.low, whole.high), abs=1e-12)
    smaller = crossed.wilson(hits / n, n / 2, 1.959963984540054)
    assert smaller[0] <= low + 1e-12
    assert smaller[1] >= high - 1e-12


def test_d_prime_is_what_it_is_defined_as() -> None:
    design = design_of(("a",), pool=20, trials_a_model=20)
    people, pictures = np.repeat(np.arange(10), 40), np.tile(np.arange(40), 10)
    random = stream(1, "d'")
    said = random.random(400) < np.where(pictures < 20, ndtr(0.9), ndtr(-0.3))
    drawn = crossed.resample(judged_of(design, said, people, pictures), rounds=100)
    called_generated = 1 - (said[pictures >= 20].sum() + 0.5) / 201, 1 - (said[pictures < 20].sum() + 0.5) / 201
    hit, false_alarm = called_generated
    d, p = crossed.sensitivity(drawn, "a", REAL)
    assert d.value == pytest.approx(ndtri(hit) - ndtri(false_alarm))
    assert d.low < d.value < d.high
    assert p < 0.001
    assert crossed.criterion(drawn, "a", REAL).value == pytest.approx(-(ndtri(hit) + ndtri(false_alarm)) / 2)


@pytest.mark.parametrize("said", [True, False])
def test_unanimous_answers_keep_an_interval(said: bool) -> None:
    design = design_of(("a",), pool=20, trials_a_model=20)
    people, pictures = np.repeat(np.arange(5), 40), np.tile(np.arange(40), 5)
    drawn = crossed.resample(judged_of(design, np.full(200, said), people, pictures), rounds=50)
    found = crossed.share(drawn, "a")
    assert (found.value, found.n) == (float(said), 100)
    assert found.high - found.low > 0.3  # five people who agree prove little
    d, p = crossed.sensitivity(drawn, "a", REAL)
    assert (d.value, p) == (0.0, 1.0)


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_between_the_raw_value_and_bonferroni(raw: dict[str, float]) -> None:
    adjusted = crossed.holm(raw)
    assert list(adjusted) == list(raw)
    for name, p in raw.items():
        assert p <= adjusted[name] <= min(1.0, p * len(raw)) + 1e-12 or adjusted[name] == max(adjusted.values())
    order = sorted(raw, key=lambda name: raw[name])
    assert [adjusted[name] for name in order] == sorted(adjusted.values())


def test_holm_by_hand() -> None:
    assert crossed.holm({"x": 0.01, "y": 0.04, "z": 0.03}) == pytest.approx({"x": 0.03, "y": 0.06, "z": 0.06})


def test_simulated_people_have_the_sensitivity_that_was_asked_for() -> None:
    truth = Truth({"a": 0.6, "b": 1.8}, people_sd=0.3, pictures_sd=0.4, inattentive=0.0)
    design = design_of(pool=60, trials_a_model=20)
    sessions = simulate(design, truth, 120, seed=4)
    data = judged(design, sessions)
    drawn = crossed.resample(data, rounds=200)
    for model in ("a", "b"):
        found, _ = crossed.sensitivity(drawn, model, REAL)
        assert found.low < truth.d_prime(model) < found.high
        assert abs(crossed.share(drawn, model).value - truth.called_real(model)) < 0.06
    assert simulate(design, truth, 3, seed=4) == sessions[:3]
    with pytest.raises(RequestError, match="--sensitivity: given for x; wanted for a, b"):
        simulate(design, Truth({"x": 1.0}), 2, seed=0)


def test_careless_people_are_set_aside_by_the_rule() -> None:
    design = design_of(pool=40, trials_a_model=10, scrambled=4, cards=4, rule=Rule(catch_misses=1))
    sessions = simulate(design, Truth({"a": 1.0, "b": 1.0}, inattentive=0.5), 80, seed=2)
    data = judged(design, sessions)
    assert 25 < data.flow["set aside"] < 55
    assert data.flow["analysed"] == 80 - data.flow["set aside"] == len(data.numbers)
    assert all(sessions[number].catch_misses <= 1 for number in data.numbers)
    assert len(judged(design, sessions, everybody=True).numbers) == 80


def answered(design: Design, slot: int, **changes: object) -> Session:
    answers = [Answer(trial, trial.real, 800.0) for trial in trials_of(design, slot)]
    face = next(place for place, one in enumerate(answers) if not one.trial.catch)
    answers[face] = dataclasses.replace(answers[face], **changes)
    return Session(slot, True, tuple(answers))


def test_what_counts_is_what_the_rule_says() -> None:
    design = design_of(pool=40, trials_a_model=10, exposure_ms=200)
    sessions = [
        answered(design, 0, reaction_ms=120.0),
        answered(design, 1, shown=2),
        answered(design, 2, interrupted=True),
        dataclasses.replace(answered(design, 3), finished=False),
    ]
    data = judged(design, sessions)
    assert data.flow == {"began": 4, "unfinished": 1, "set aside": 0, "analysed": 3}
    assert data.left_out == {"quicker than 200 ms": 1, "shown more than once": 1}
    assert len(data) == 3 * 40 - 2
    assert np.isnan(data.reaction_ms).sum() == 1  # counted, but not timed
    assert data.right.all()
    everybody = judged(design, sessions, everybody=True)
    assert len(everybody) == 4 * 40
    unlimited = judged(design_of(pool=40, trials_a_model=10), sessions[:2])
    assert unlimited.left_out == {"quicker than 200 ms": 1}  # without a limit, seeing it twice gives nothing away
    with pytest.raises(TooFewError, match="1 participants whose answers count"):
        judged(design, sessions[:1])
