"""How attributes gather: purity and silhouette against definitions and scikit-learn, and the report with the map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from mien.core.errors import DatasetError, TooFewError
from mien.datasets.catalog import CatalogRow
from mien.evaluation.clusters import gathering, purity, silhouettes, tsne_map
from mien.evaluation.experiments.distribution import distribution_report
from mien.evaluation.experiments.tsne import tsne_report
from mien.evaluation.labels import AttributeLabels, attribute_labels, one_a_person
from mien.evaluation.report import ReportProvenance

RANDOM = np.random.default_rng(11)


def two_clouds(n: int = 200, gap: float = 8.0) -> tuple[np.ndarray, np.ndarray]:
    """Points (n 5) of two clouds, and labels (n 2): the cloud, and a coin."""
    cloud = np.arange(n) % 2 == 0
    points = RANDOM.standard_normal((n, 5))
    points[cloud, 0] += gap
    return points, np.column_stack([cloud, RANDOM.random(n) < 0.2])


def test_clouds_gather_and_coins_do_not() -> None:
    points, labels = two_clouds()
    found = gathering(points, labels, np.random.default_rng(0), k=10)
    assert found.purity[0] > 0.99
    assert found.purity[1] == pytest.approx(0.5, abs=0.06)
    assert found.shuffled == pytest.approx([0.5, 0.5], abs=0.02)
    assert found.purity[0] > found.shuffled_high[0]
    assert found.silhouette[0] > 0.5 > 0.1 > found.silhouette[1]
    assert found.marked.tolist() == labels.sum(0).tolist()


@settings(max_examples=25)
@given(st.floats(0.05, 0.95), st.integers(0, 1000))
def test_labels_dealt_at_random_give_one_half_whatever_their_share(share: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = (random.permutation(2000) < 2000 * share)[:, None]
    neighbours = random.integers(0, 2000, (2000, 10))
    assert float(purity(neighbours, labels)[0]) == pytest.approx(0.5, abs=0.05)


def test_purity_by_hand() -> None:
    labels = np.array([[True], [True], [False], [False]])
    neighbours = np.array([[1, 2], [0, 2], [3, 0], [2, 1]])
    assert purity(neighbours, labels)[0] == pytest.approx(0.5)
    assert purity(np.array([[1], [0], [3], [2]]), labels)[0] == 1
    assert np.isnan(purity(neighbours, np.ones((4, 1), bool))[0])


def test_silhouettes_are_scikit_learns() -> None:
    points, labels = two_clouds(1300, gap=1.5)  # more than one block of rows
    points += 500  # far from zero
    found = silhouettes(points, labels)
    expected = [silhouette_score(points, labels[:, k]) for k in range(2)]
    assert found == pytest.approx(expected, abs=1e-6)
    few = np.zeros((1300, 1), bool)
    few[0] = True
    assert np.isnan(silhouettes(points, few)[0])


def test_a_map_is_the_same_for_the_same_seed_and_keeps_clouds_apart() -> None:
    points, labels = two_clouds(120, gap=30)
    first = tsne_map(points, 3, perplexity=10)
    assert first.shape == (120, 2)
    assert (first == tsne_map(points, 3, perplexity=10)).all()
    assert gathering(first, labels, np.random.default_rng(0), k=5, shuffles=5).purity[0] > 0.97
    with pytest.raises(TooFewError, match="3 times"):
        tsne_map(points[:30], 3, perplexity=10)


def row(number: int, present: tuple[str, ...], absent: tuple[str, ...], split: str = "train") -> CatalogRow:
    return CatalogRow(
        id=f"lfw:{number}", source="lfw", key=str(number), licence="", person=f"person {number // 2}",
        attributes_present=present, attributes_absent=absent, absent_is_sure=False, group=f"g{number // 2}",
        split=split, shard="s", row_in_shard=number,
    )  # fmt: skip


def faces() -> list[CatalogRow]:
    silent = CatalogRow(id="utkface:0", source="utkface", key="0", licence="", shard="s", row_in_shard=0)
    spoken = [
        row(k, ("Male",) if k % 4 == 0 else ("White", "Youth"), ("Bald",), "test" if k > 35 else "train")
        for k in range(40)
    ]
    return [silent, *spoken]


def test_marks_are_of_the_faces_whose_source_speaks() -> None:
    found = attribute_labels(faces())
    assert found.names == ("Male", "White", "Youth", "Bald")  # in the order of the vocabulary
    assert found.rows.tolist() == list(range(1, 41))
    assert found.of("Male").sum() == 10
    assert not found.of("Bald").any()
    assert found.pick(found.of("Male")).rows.tolist() == list(range(1, 41, 4))
    with pytest.raises(DatasetError, match="no face of the dataset has attributes"):
        attribute_labels(faces()[:1])


def test_one_face_of_each_person() -> None:
    found = attribute_labels(faces())
    places = one_a_person(found.people, np.random.default_rng(0))
    assert len(places) == 20
    assert len({found.people[k] for k in places}) == 20
    again = one_a_person(found.people, np.random.default_rng(0))
    assert (places == again).all()
    limited = one_a_person(found.people, np.random.default_rng(0), found.of("Male"))
    assert sorted(limited.tolist()) == np.flatnonzero(found.of("Male")).tolist()


def test_the_report_on_the_map_names_best_and_worst() -> None:
    points, labels = two_clouds(150, gap=6)
    labels = np.column_stack([labels, np.arange(150) < 3])  # the third: three faces
    named = ("Youth", "Soft Lighting", "Baby")
    some = AttributeLabels(named, np.arange(150), labels, tuple(map(str, range(150))), ("train",) * 150, False)
    found = tsne_report(points.astype(np.float32), some, "pool", {"seed": 0}, seed=0, perplexity=10, k=5)
    assert "best Youth" in found.summary
    assert "worst Soft Lighting" in found.summary
    numbers = found.sections[1]
    assert [line[0] for line in numbers.tables[0].rows] == ["Youth", "Soft Lighting"]
    assert "Baby" in numbers.text
    assert {p.name for p in found.sections[0].pictures} == {"tsne-best", "tsne-worst", "tsne-paper"}
    assert all(p.photo.dtype == np.uint8 and p.photo.ndim == 3 for part in found.sections for p in part.pictures)


def test_the_report_on_the_distribution_counts() -> None:
    found = distribution_report(attribute_labels(faces()), ReportProvenance())
    table = found.sections[0].tables[0].rows
    assert table[0][0] in ("White", "Youth")
    assert next(line for line in table if line[0] == "Male")[1:] == (9, 0, 1, "25.0 %")
    figures = {(f.label, f.subject): f.value for part in found.sections for f in part.figures}
    assert figures["White, positive photos", "here"] == 1.0  # 75 % marked, which is two thirds of the positive ones
    assert figures["White, positive photos", "paper"] == 0.76
    assert figures["Any word for the age marked", "here"] == pytest.approx(27 / 36)
    groups = {line[0]: line for line in found.sections[2].tables[0].rows}
    assert groups["age"][2:] == ("75.0 %", "25.0 %", "0.0 %", "(label unknown)")
