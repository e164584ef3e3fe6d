"""The rules of the review: nobody gets another's face, undo inverts, what was accepted survives a killed server."""

from __future__ import annotations

import contextlib
import multiprocessing
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import review_tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from review_worker import FACES, review_everything

from mien.core.database import Store, open_store
from mien.core.errors import RequestError, StoreError
from mien.datasets.batches import FaceDataset
from mien.datasets.corrections import review_place, settle_place, standing
from mien.datasets.corrections_store import SCHEMA
from mien.datasets.decisions import Decision
from mien.pipelines.review import Reviewer, ReviewQueue, TakenError

QUEUE = tuple(f"f{place}" for place in range(8))
ADA, BEN = Reviewer("a" * 20, "Ada"), Reviewer("b" * 20, "Ben")


class Clock:
    """A time that the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(empty_store: str) -> Iterator[Store]:
    """An empty store of each kind."""
    opened = open_store(empty_store, SCHEMA)
    yield opened
    opened.close()


def said(face: str, verdict: str = "accepted", **changes: object) -> Decision:
    return Decision(face, None, verdict, changes)  # type: ignore[arg-type]


def test_two_people_get_other_faces_and_each_keeps_its_own(store: Store) -> None:
    queue = ReviewQueue(store, "d", QUEUE)
    assert (queue.next(ADA), queue.next(BEN), queue.next(ADA), queue.next(BEN)) == ("f0", "f1", "f0", "f1")
    queue.decide(ADA, said("f0"))
    assert queue.next(ADA) == "f2"
    with pytest.raises(TakenError, match="f1: somebody else"):
        queue.decide(ADA, said("f1"))
    with pytest.raises(TakenError):
        queue.decide(BEN, said("f0"))
    assert queue.progress(ADA).others == ("Ben",)
    queue.leave(BEN)
    queue.decide(ADA, said("f2"))
    assert queue.next(ADA) == "f1"


def test_a_claim_expires_and_counts_as_long_as_nobody_took_the_face(store: Store) -> None:
    clock = Clock()
    queue = ReviewQueue(store, "d", QUEUE[:2], claim_seconds=60, clock=clock)
    assert (queue.next(ADA), queue.next(BEN)) == ("f0", "f1")
    clock.now += 61
    queue.decide(BEN, said("f1"))  # late, but nobody else had it
    assert queue.next(BEN) == "f0"
    with pytest.raises(TakenError):
        queue.decide(ADA, said("f0"))
    assert queue.next(ADA) is None
    clock.now += 61
    assert queue.next(ADA) == "f0"


def test_a_skipped_face_comes_to_others_only(store: Store) -> None:
    queue = ReviewQueue(store, "d", QUEUE[:2])
    assert queue.next(ADA) == "f0"
    queue.skip(ADA, "f0")
    assert (queue.next(ADA), queue.next(BEN)) == ("f1", "f0")
    assert queue.progress(ADA).decided == 0
    queue.leave(BEN)
    assert queue.undo(ADA) == "f0"
    assert queue.next(ADA) == "f0"


def test_datasets_that_share_a_store_do_not_meet(store: Store) -> None:
    one, other = ReviewQueue(store, "1", QUEUE), ReviewQueue(store, "2", QUEUE)
    assert (one.next(ADA), other.next(BEN)) == ("f0", "f0")
    one.decide(ADA, said("f0", "rejected"))
    assert other.next(ADA) == "f1"
    assert other.progress(ADA).counts == {}
    assert other.undo(ADA) is None


def test_decisions_on_pictures_that_changed_are_retired(store: Store) -> None:
    queue = ReviewQueue(store, "d", QUEUE)
    queue.decide(ADA, Decision("f0", "old", "rejected", {}))
    queue.decide(ADA, Decision("f1", "same", "rejected", {}))
    assert queue.retire({"f0": "new", "f1": "same"}) == 1
    assert queue.progress(ADA).decided == 1
    assert queue.next(ADA) == "f0"


REVIEWERS = st.sampled_from([ADA, BEN, Reviewer("c" * 20, "Ada")])
WORDS = st.sampled_from(["keep", "correct", "reject", "skip", "undo", "wait"])
ACTIONS = st.lists(st.tuples(REVIEWERS, WORDS), max_size=20)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTIONS)
def test_no_face_is_before_two_people_none_is_decided_twice_and_undo_inverts(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[Reviewer, str]]
) -> None:
    store = open_store(tmp_path_factory.mktemp("queue") / "a.sqlite", SCHEMA)
    clock = Clock()
    queue = ReviewQueue(store, "d", QUEUE, claim_seconds=10, clock=clock)
    said_by: dict[Reviewer, list[str]] = {}  # verdicts and skips that can be taken back
    holds: dict[Reviewer, tuple[str, float]] = {}
    with contextlib.closing(store):
        for reviewer, action in actions:
            clock.now += 1
            if action == "wait":
                clock.now += 11
                continue
            now = _standing(store)
            if action == "undo":
                stack = said_by.get(reviewer, [])
                undone = queue.undo(reviewer)
                assert (undone is None) == (not stack)
                after = _standing(store)
                if stack and stack.pop() != "skip":
                    assert undone in now
                    assert after == {face: one for face, one in now.items() if face != undone}
                else:
                    assert after == now
            face = queue.next(reviewer)
            holds.pop(reviewer, None)
            if face is None:
                continue
            live = {held for held, until in holds.values() if until > clock.now}
            assert face not in live
            assert face not in _standing(store)
            holds[reviewer] = (face, clock.now + 10)
            if action == "undo":
                continue
            said_by.setdefault(reviewer, []).append(action)
            if action == "skip":
                queue.skip(reviewer, face)
            else:
                queue.decide(reviewer, _OF[action](face))
                assert _standing(store)[face] == _OF[action](face)
            holds.pop(reviewer)
        assert queue.progress(ADA).decided == len(_standing(store))


_OF = {
    "keep": lambda face: said(face),
    "correct": lambda face: said(face, "corrected", sex="female", age=None, Smiling=True),
    "reject": lambda face: said(face, "rejected"),
}


def _standing(store: Store) -> dict[str, Decision]:
    from mien.datasets.corrections_store import standing

    return standing(store, "d")


def test_processes_that_review_at_once_share_the_faces_out(store: Store, tmp_path: Path) -> None:
    where = str(store._engine.url.render_as_string(hide_password=False))
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        lists = [manager.list() for _ in range(3)]
        workers = [
            context.Process(target=review_everything, args=(where, reviewer, done))
            for reviewer, done in zip("xyz", lists, strict=True)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(300)
        assert [worker.exitcode for worker in workers] == [0, 0, 0]
        done = [face for one in lists for face in one]
    assert sorted(done) == sorted({f"f{place}" for place in range(FACES)})


def test_a_killed_server_loses_nothing_that_it_accepted(tmp_path: Path) -> None:
    review_tiny.drawn(tmp_path)
    script = """
        import os, signal, sys
        from pathlib import Path
        from mien.pipelines.review import Reviewer, ReviewQueue
        from mien.datasets.corrections import settle_place
        from mien.datasets.decisions import Decision
        place, store = settle_place(Path(sys.argv[1]))
        queue = ReviewQueue(store, place.dataset, [f"made:{k:05d}.png" for k in range(12)])
        reviewer = Reviewer("s" * 20, "Ada")
        for k in range(5):
            queue.decide(reviewer, Decision(queue.next(reviewer), f"{k:064d}", "corrected", {"age": 50.0 + k}))
        queue.next(reviewer)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], check=False)
    assert done.returncode == -9
    assert FaceDataset.open(tmp_path).ages_years[:6].tolist() == [50, 51, 52, 53, 54, 25]
    place, store = settle_place(tmp_path)
    queue = ReviewQueue(store, place.dataset, [f"made:{k:05d}.png" for k in range(12)])
    assert queue.next(Reviewer("s" * 20, "Ada")) == "made:00005.png"
    assert queue.undo(Reviewer("s" * 20, "Ada")) == "made:00004.png"
    store.close()


def test_the_store_is_chosen_once_and_missing_reviews_are_never_passed_over(tmp_path: Path, postgres: str) -> None:
    review_tiny.drawn(tmp_path / "a")
    assert (review_place(tmp_path / "a"), standing(tmp_path / "a")) == (None, {})
    _, store = settle_place(tmp_path / "a")
    store.close()
    with pytest.raises(RequestError, match=r"the reviews of .* are in review\.sqlite; remove .*review\.json"):
        settle_place(tmp_path / "a", postgres)
    (tmp_path / "a" / "review.sqlite").unlink()
    with pytest.raises(StoreError, match="no such store"):
        FaceDataset.open(tmp_path / "a")

    review_tiny.drawn(tmp_path / "b")
    secret = postgres.replace("@", ":hush@", 1)
    place, store = settle_place(tmp_path / "b", secret)
    ReviewQueue(store, place.dataset, ["made:00000.png"]).decide(
        ADA, Decision("made:00000.png", f"{0:064d}", "rejected", {})
    )
    store.close()
    assert "hush" not in (tmp_path / "b" / "review.json").read_text()
    assert FaceDataset.open(tmp_path / "b").rows().tolist() == list(range(1, 12))
