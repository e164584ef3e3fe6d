"""What is written down: slots, answers once, nothing after a withdrawal; in SQLite and in PostgreSQL."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest
import sqlalchemy as sql
from study_tiny import design_of

from mien.core.database import open_store
from mien.core.errors import RequestError
from mien.evaluation.study.answers import judged
from mien.evaluation.study.assignment import trials_of
from mien.evaluation.study.simulate import Truth, simulate
from mien.pipelines.study_answers import ANSWERS, PEOPLE, SCHEMA, STALE_SECONDS, AnswerStore, new_code, tidy

DESIGN = design_of(("a",), pool=12, trials_a_model=3, scrambled=1, cards=1)


class Clock:
    """Time that passes when it is told to."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def answers(empty_store: str) -> Iterator[AnswerStore]:
    """An empty answers in either kind of store."""
    store = open_store(empty_store, SCHEMA)
    yield AnswerStore(store, DESIGN, clock=Clock())
    store.close()


def reply(answers: AnswerStore, code: str, place: int, *, said_real: bool = True, reaction_ms: float = 900.0) -> None:
    answers.answer(
        code,
        place,
        said_real=said_real,
        reaction_ms=reaction_ms,
        exposed_ms=None,
        interrupted=False,
        way="key",
    )


def finish(answers: AnswerStore, code: str) -> None:
    for place in range(DESIGN.places):
        answers.show(code, place)
        reply(answers, code, place)


def test_answers_are_written_once_and_in_order(answers: AnswerStore) -> None:
    code = answers.begin()
    with pytest.raises(RequestError, match="which has not been shown; the next is 0"):
        reply(answers, code, 0)
    with pytest.raises(RequestError, match="place: 3 given"):
        reply(answers, code, 3)
    answers.show(code, 0)
    reply(answers, code, 0, said_real=True)
    reply(answers, code, 0, said_real=False)  # the same request again, or a second tab
    person = answers.find(code)
    assert person is not None
    assert (person.place, person.slot, person.finished) == (1, 0, False)
    answers.show(code, 1)
    answers.show(code, 1)  # the page was closed and opened again
    reply(answers, code, 1)
    (session,) = answers.sessions()
    assert [(one.said_real, one.shown, one.reaction_ms) for one in session.answers] == [(True, 1, 900), (True, 2, 900)]
    assert [one.trial for one in session.answers] == list(trials_of(DESIGN, 0))[:2]


def test_a_session_ends_after_its_last_trial(answers: AnswerStore) -> None:
    code = answers.begin()
    finish(answers, code)
    person = answers.find(code)
    assert person is not None
    assert person.finished
    assert (person.place, person.faces) == (DESIGN.places, 6)
    assert person.right == 3  # "real" to everything, and half of the faces are
    assert answers.show(code, DESIGN.places - 1) == person
    (session,) = answers.sessions()
    assert session.finished
    assert len(session.answers) == DESIGN.places


def test_slots_are_handed_out_evenly_to_many_at_once(answers: AnswerStore) -> None:
    codes: list[str] = []
    threads = [threading.Thread(target=lambda: codes.extend(answers.begin() for _ in range(3))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    people = [answers.find(code) for code in codes]
    assert sorted(person.slot for person in people if person) == list(range(12))
    seen = Counter(
        trial.picture for person in people if person for trial in answers.trials(person.slot, 0) if trial.kind == "face"
    )
    assert set(seen.values()) == {3}  # 12 people x 3 of 12 pictures of each source


def test_a_slot_that_was_left_is_given_again(answers: AnswerStore) -> None:
    left, stays, done = answers.begin(), answers.begin(), answers.begin()
    finish(answers, done)
    clock = answers._clock
    assert isinstance(clock, Clock)
    clock.now += STALE_SECONDS + 2 * 3600
    answers.show(stays, 0)
    again = answers.find(answers.begin())
    assert again is not None
    assert (again.slot, again.attempt) == (0, 1)
    assert {t.picture for t in answers.trials(0, 0)} == {t.picture for t in answers.trials(0, 1)}
    next_one = answers.find(answers.begin())
    assert next_one is not None
    assert next_one.slot == 3
    back = answers.find(left)  # who comes back late may go on
    assert back is not None
    answers.show(left, 0)
    reply(answers, left, 0)


def test_withdrawing_leaves_a_number_and_nothing_else(answers: AnswerStore) -> None:
    code, other = answers.begin(), answers.begin()
    finish(answers, code)
    finish(answers, other)
    assert answers.withdraw(code)
    assert not answers.withdraw(code)
    assert answers.find(code) is None
    assert answers.withdrawn() == 1
    with answers.store.reading() as rows:
        assert rows.scalar(sql.select(sql.func.count()).select_from(PEOPLE)) == 1
        assert rows.scalar(sql.select(sql.func.count()).select_from(ANSWERS)) == DESIGN.places
    again = answers.find(answers.begin())
    assert again is not None
    assert (again.slot, again.attempt) == (0, 0)


def test_only_what_the_page_of_consent_says_is_stored(answers: AnswerStore) -> None:
    code = answers.begin()
    answers.show(code, 0)
    with answers.store.reading() as rows:
        (person,) = rows.execute(sql.select(PEOPLE)).mappings()
    assert set(person) == {"id", "study", "slot", "attempt", "code_sha256", "seen_at_seconds", "finished", "simulated"}
    assert code not in {str(value) for value in person.values()}
    assert person["seen_at_seconds"] % 3600 == 0
    assert set(ANSWERS.c.keys()) == {
        "person", "place", "shown", "said_real", "reaction_ms", "exposed_ms", "interrupted", "way",
    }  # fmt: skip


def test_studies_in_one_store_do_not_meet(answers: AnswerStore) -> None:
    other = AnswerStore(answers.store, design_of(("a",), pool=12, trials_a_model=3, scrambled=1, cards=1, seed=2))
    code = answers.begin()
    assert other.find(code) is None
    assert other.sessions() == []
    assert other.find(other.begin()).slot == 0  # type: ignore[union-attr]


def test_made_up_people_stay_apart_from_real_ones(answers: AnswerStore) -> None:
    sessions = simulate(DESIGN, Truth({"a": 1.0}), 5, seed=0)
    answers.add_simulated(sessions)
    assert answers.people() == (5, 0)
    assert [one.answers for one in answers.sessions()] == [one.answers for one in sessions]
    assert judged(DESIGN, answers.sessions()).said_real.tolist() == judged(DESIGN, sessions).said_real.tolist()
    code = answers.begin()
    assert answers.people() == (5, 1)
    with pytest.raises(RequestError, match="holds answers of people"):
        answers.add_simulated(sessions)
    answers.withdraw(code)


def test_codes_are_read_as_people_type_them() -> None:
    codes = {new_code() for _ in range(200)}
    assert len(codes) == 200
    for code in codes:
        assert tidy(code) == tidy(code.lower().replace("-", " ")) == code
    assert tidy("") == ""
    assert tidy("<script>") == "SCRP-T"
