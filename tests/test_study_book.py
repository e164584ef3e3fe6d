"""What is written down: slots, answers once, nothing after a withdrawal; in SQLite and in PostgreSQL."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest
import sqlalchemy as sql
from study_tiny import design_of

from mien.apps.study.answer_store import ANSWERS, PEOPLE, SCHEMA, STALE_SECONDS, AnswerStore, new_code, tidy
from mien.core.database import open_store
from mien.core.errors import RequestError
from mien.evaluation.study.answers import judged
from mien.evaluation.study.assignment import trials_of
from mien.evaluation.study.simulate import Truth, simulate

DESIGN = design_of(("a",), pool=12, trials_a_model=3, scrambled=1, cards=1)


class Clock:
    """Time that passes when it is told to."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def book(empty_store: str) -> Iterator[AnswerStore]:
    """An empty book in either kind of store."""
    store = open_store(empty_store, SCHEMA)
    yield AnswerStore(store, DESIGN, clock=Clock())
    store.close()


def reply(book: AnswerStore, code: str, place: int, *, said_real: bool = True, reaction_ms: float = 900.0) -> None:
    book.answer(
        code,
        place,
        said_real=said_real,
        reaction_ms=reaction_ms,
        exposed_ms=None,
        interrupted=False,
        way="key",
    )


def finish(book: AnswerStore, code: str) -> None:
    for place in range(DESIGN.places):
        book.show(code, place)
        reply(book, code, place)


def test_answers_are_written_once_and_in_order(book: AnswerStore) -> None:
    code = book.begin()
    with pytest.raises(RequestError, match="which has not been shown; the next is 0"):
        reply(book, code, 0)
    with pytest.raises(RequestError, match="place: 3 given"):
        reply(book, code, 3)
    book.show(code, 0)
    reply(book, code, 0, said_real=True)
    reply(book, code, 0, said_real=False)  # the same request again, or a second tab
    person = book.find(code)
    assert person is not None
    assert (person.place, person.slot, person.finished) == (1, 0, False)
    book.show(code, 1)
    book.show(code, 1)  # the page was closed and opened again
    reply(book, code, 1)
    (session,) = book.sessions()
    assert [(one.said_real, one.shown, one.reaction_ms) for one in session.answers] == [(True, 1, 900), (True, 2, 900)]
    assert [one.trial for one in session.answers] == list(trials_of(DESIGN, 0))[:2]


def test_a_session_ends_after_its_last_trial(book: AnswerStore) -> None:
    code = book.begin()
    finish(book, code)
    person = book.find(code)
    assert person is not None
    assert person.finished
    assert (person.place, person.faces) == (DESIGN.places, 6)
    assert person.right == 3  # "real" to everything, and half of the faces are
    assert book.show(code, DESIGN.places - 1) == person
    (session,) = book.sessions()
    assert session.finished
    assert len(session.answers) == DESIGN.places


def test_slots_are_handed_out_evenly_to_many_at_once(book: AnswerStore) -> None:
    codes: list[str] = []
    threads = [threading.Thread(target=lambda: codes.extend(book.begin() for _ in range(3))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    people = [book.find(code) for code in codes]
    assert sorted(person.slot for person in people if person) == list(range(12))
    seen = Counter(
        trial.picture for person in people if person for trial in book.trials(person.slot, 0) if trial.kind == "face"
    )
    assert set(seen.values()) == {3}  # 12 people x 3 of 12 pictures of each source


def test_a_slot_that_was_left_is_given_again(book: AnswerStore) -> None:
    left, stays, done = book.begin(), book.begin(), book.begin()
    finish(book, done)
    clock = book._clock
    assert isinstance(clock, Clock)
    clock.now += STALE_SECONDS + 2 * 3600
    book.show(stays, 0)
    again = book.find(book.begin())
    assert again is not None
    assert (again.slot, again.attempt) == (0, 1)
    assert {t.picture for t in book.trials(0, 0)} == {t.picture for t in book.trials(0, 1)}
    next_one = book.find(book.begin())
    assert next_one is not None
    assert next_one.slot == 3
    back = book.find(left)  # who comes back late may go on
    assert back is not None
    book.show(left, 0)
    reply(book, left, 0)


def test_withdrawing_leaves_a_number_and_nothing_else(book: AnswerStore) -> None:
    code, other = book.begin(), book.begin()
    finish(book, code)
    finish(book, other)
    assert book.withdraw(code)
    assert not book.withdraw(code)
    assert book.find(code) is None
    assert book.withdrawn() == 1
    with book.store.reading() as rows:
        assert rows.scalar(sql.select(sql.func.count()).select_from(PEOPLE)) == 1
        assert rows.scalar(sql.select(sql.func.count()).select_from(ANSWERS)) == DESIGN.places
    again = book.find(book.begin())
    assert again is not None
    assert (again.slot, again.attempt) == (0, 0)


def test_only_what_the_page_of_consent_says_is_stored(book: AnswerStore) -> None:
    code = book.begin()
    book.show(code, 0)
    with book.store.reading() as rows:
        (person,) = rows.execute(sql.select(PEOPLE)).mappings()
    assert set(person) == {"id", "study", "slot", "attempt", "code_sha256", "seen_at_seconds", "finished", "simulated"}
    assert code not in {str(value) for value in person.values()}
    assert person["seen_at_seconds"] % 3600 == 0
    assert set(ANSWERS.c.keys()) == {
        "person", "place", "shown", "said_real", "reaction_ms", "exposed_ms", "interrupted", "way",
    }  # fmt: skip


def test_studies_in_one_store_do_not_meet(book: AnswerStore) -> None:
    other = AnswerStore(book.store, design_of(("a",), pool=12, trials_a_model=3, scrambled=1, cards=1, seed=2))
    code = book.begin()
    assert other.find(code) is None
    assert other.sessions() == []
    assert other.find(other.begin()).slot == 0  # type: ignore[union-attr]


def test_made_up_people_stay_apart_from_real_ones(book: AnswerStore) -> None:
    sessions = simulate(DESIGN, Truth({"a": 1.0}), 5, seed=0)
    book.add_simulated(sessions)
    assert book.people() == (5, 0)
    assert [one.answers for one in book.sessions()] == [one.answers for one in sessions]
    assert judged(DESIGN, book.sessions()).said_real.tolist() == judged(DESIGN, sessions).said_real.tolist()
    code = book.begin()
    assert book.people() == (5, 1)
    with pytest.raises(RequestError, match="holds answers of people"):
        book.add_simulated(sessions)
    book.withdraw(code)


def test_codes_are_read_as_people_type_them() -> None:
    codes = {new_code() for _ in range(200)}
    assert len(codes) == 200
    for code in codes:
        assert tidy(code) == tidy(code.lower().replace("-", " ")) == code
    assert tidy("") == ""
    assert tidy("<script>") == "SCRP-T"
