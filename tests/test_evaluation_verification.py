"""Pairs as LFW draws them, thresholds of the other folds, and the curve against scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mien.core.errors import TooFewError
from mien.evaluation.experiments.verification import verification_report
from mien.evaluation.verification import Pairs, best_threshold, cosine, curve, draw_pairs, verify

RANDOM = np.random.default_rng(2)
PEOPLE = [f"person {k // 3}" for k in range(240)] + [f"lone {k}" for k in range(60)]


def test_pairs_keep_the_protocol() -> None:
    pairs = draw_pairs(PEOPLE, folds=4, each=25, seed=3)
    assert len(pairs) == 200
    seen: dict[str, int] = {}
    for a, b, same, fold in zip(pairs.first, pairs.second, pairs.same, pairs.fold, strict=True):
        assert a != b
        assert (PEOPLE[a] == PEOPLE[b]) == same
        for name in (PEOPLE[a], PEOPLE[b]):
            assert seen.setdefault(name, int(fold)) == fold  # nobody in two folds
    assert len({(int(a), int(b)) for a, b in zip(pairs.first, pairs.second, strict=True)}) == 200  # no pair twice
    assert [int(((pairs.fold == f) & pairs.same).sum()) for f in range(4)] == [25] * 4
    again = draw_pairs(PEOPLE, folds=4, each=25, seed=3)
    assert (again.first == pairs.first).all()
    assert (draw_pairs(PEOPLE, folds=4, each=25, seed=4).first != pairs.first).any()


def test_too_few_people_are_refused() -> None:
    with pytest.raises(TooFewError, match="needed are 25 of each"):
        draw_pairs([f"lone {k}" for k in range(100)], folds=4, each=25)
    with pytest.raises(TooFewError, match="folds"):
        verify([0.1, 0.9], Pairs(np.array([0, 0]), np.array([1, 2]), np.array([False, True]), np.array([0, 0])))


@given(
    st.lists(st.tuples(st.integers(0, 12).map(lambda v: v / 8), st.booleans()), min_size=1, max_size=40),
)
def test_no_threshold_is_better_than_the_best(points: list[tuple[float, bool]]) -> None:
    similarity = np.array([value for value, _ in points])
    same = np.array([side for _, side in points])

    def right(threshold: float) -> int:
        return int(((similarity >= threshold) == same).sum())

    tried = [*similarity, *(similarity + 1e-3), *(similarity - 1e-3)]
    assert right(best_threshold(similarity, same)) == max(right(t) for t in tried)


def test_the_curve_is_scikit_learns() -> None:
    same = RANDOM.random(500) < 0.5
    similarity = np.round(RANDOM.standard_normal(500) + same, 1)  # with ties
    rates, accepts = curve(similarity, same)
    assert np.trapezoid(accepts, rates) == pytest.approx(roc_auc_score(same, similarity))
    assert (rates[0], accepts[0], rates[-1], accepts[-1]) == (0, 0, 1, 1)


def features(noise: float) -> np.ndarray:
    codes = {name: RANDOM.standard_normal(32) for name in PEOPLE}
    return np.stack([codes[name] + noise * RANDOM.standard_normal(32) for name in PEOPLE]).astype(np.float32)


def test_people_are_told_apart_when_features_tell_them_apart() -> None:
    pairs = draw_pairs(PEOPLE, folds=4, each=40, seed=0)
    clear = verify(cosine(features(0.1), pairs), pairs)
    assert clear.accuracy.value == 1
    assert clear.auc == 1
    assert clear.equal_error_rate == pytest.approx(0, abs=0.01)
    chance = verify(cosine(RANDOM.standard_normal((len(PEOPLE), 32)), pairs), pairs)
    assert chance.accuracy.value == pytest.approx(0.5, abs=0.1)
    assert chance.accuracy.low < chance.accuracy.value < chance.accuracy.high


def test_a_fold_has_no_say_in_its_threshold() -> None:
    similarity = np.array([0.9, 0.1, 0.9, 0.1, 0.3, 0.2])
    same = np.array([True, False, True, False, True, False])
    pairs = Pairs(np.arange(6), np.arange(6), same, np.array([0, 0, 1, 1, 2, 2]))
    found = verify(similarity, pairs)
    assert found.thresholds[2] == pytest.approx(0.5)  # its own pairs would want 0.25
    assert found.fold_accuracies.tolist() == [1, 1, 0.5]


def test_the_report_has_each_fold() -> None:
    pairs = draw_pairs(PEOPLE, folds=4, each=40, seed=0)
    found = verification_report({"one view": features(0.5)}, PEOPLE, pairs, "embedding", {"seed": 0})
    assert len(found.sections[0].tables[0].rows) == 4
    assert "accuracy_lfw-4-folds_embedding_n320/one view" in found.figures()
    assert "140 people with 300 photos" in found.sections[0].text


@pytest.mark.models
@pytest.mark.shared
@pytest.mark.slow
def test_facenet_tells_people_of_lfw_apart(models_cache: Path, shared_data: Path) -> None:
    """100 + 100 pairs of LFW, cut from the middle of deep-funneled photos: well over nine in ten."""
    import torch

    from mien.core.images import to_tensor
    from mien.core.photos import read_photo
    from mien.faces.encoder import load_encoder

    folder = shared_data / "lfw" / "lfw-deepfunneled"
    people = sorted(p.name for p in folder.iterdir() if p.is_dir() and len(list(p.iterdir())) > 1)[:120]
    photos = [(name, path) for name in people for path in sorted((folder / name).iterdir())[:2]]
    pairs = draw_pairs([name for name, _ in photos], folds=2, each=50, seed=0)
    encoder = load_encoder("facenet")
    rows = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(photos), 16):
            crops = np.stack([read_photo(path)[45:205, 45:205] for _, path in photos[start : start + 16]])
            rows.append(encoder(to_tensor(crops), ["embedding"])["embedding"].float().numpy())
    assert verify(cosine(np.concatenate(rows), pairs), pairs).accuracy.value > 0.93
