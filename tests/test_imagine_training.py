"""Fitting the density: labels of both kinds of sources, axes, probes, Gaussians, and what a decoder shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from imagine_tiny import tiny_density

from mien.attributes import NAMES
from mien.core.checkpoints import load_weights
from mien.core.contract import FaceRequest
from mien.core.errors import TrainingError
from mien.core.records import UInt8Image
from mien.core.seeding import sample_generator, stream
from mien.generators.imagine.density import AGE, Condition, FaceDensity
from mien.generators.imagine.weights import MODEL
from mien.training.imagine import (
    ImagineConfig,
    export_density,
    fit_components,
    fit_density,
    fit_frame,
    known_labels,
    level_without,
)
from mien.training.people import identity_regression, with_people
from mien.training.visible import drawn_and_seen, visible_probes, with_visible_probes


@dataclass(frozen=True)
class FaceRow:
    """A face of a dataset."""

    sex: str | None = None
    age_years: float | None = None
    person: str | None = None
    race: str | None = None
    attributes_present: tuple[str, ...] = ()
    attributes_absent: tuple[str, ...] = ()


def labels_of(face: FaceRow) -> dict[str, bool]:
    present, known = known_labels(face)
    return {name: bool(present[k]) for k, name in enumerate(NAMES) if known[k]}


def test_labels_of_a_source_with_ages_and_races() -> None:
    found = labels_of(FaceRow("female", 1.0, None, "Indian"))
    assert found["Male"] is False
    assert found["Baby"] is True
    assert found["Senior"] is False
    assert found["Indian"] is True
    assert found["White"] is False
    assert "Smiling" not in found
    assert "Baby" not in labels_of(FaceRow(age_years=3.0)), "between two words nothing is known"


def test_labels_of_a_source_with_attributes() -> None:
    present = ("Smiling", "Brown Hair", "Male")
    found = labels_of(FaceRow(attributes_present=present, attributes_absent=("Frowning", "Black Hair", "Asian")))
    assert found["Smiling"] is True
    assert found["Frowning"] is False
    assert found["Brown Hair"] is True
    assert found["Black Hair"] is False, "somebody with brown hair"
    assert "Asian" not in found, "nothing is marked in that group"
    assert "Male" not in found, "sex is told by the labels alone"
    assert labels_of(FaceRow()) == {}


COUNT, WIDTH = 400, 10


def drawn_faces() -> tuple[np.ndarray, list[FaceRow]]:
    """Features in two clusters; the first feature says who smiles, the second the age."""
    draws = stream(2, "faces")
    features = draws.standard_normal((COUNT, WIDTH)) * np.linspace(3, 0.5, WIDTH)
    features[: COUNT // 2, 2] += 25
    smiling, ages = features[:, 0] > 0, 40 + 5 * features[:, 1]
    faces = [
        FaceRow(
            "male" if k % 2 else "female", float(age), None, None, ("Smiling",) if smiles else ("Frowning",), ("Bald",)
        )
        for k, (smiles, age) in enumerate(zip(smiling, ages, strict=True))
    ]
    return features, faces


CONFIG = ImagineConfig(axes=6, components=2, rounds=40, shrink=0.01, shrink_faces=2.0)


def test_the_axes_are_right_angled_and_of_unit_variance() -> None:
    features, _ = drawn_faces()
    weights = np.linspace(0.5, 1.5, COUNT).astype(np.float32)
    frame = fit_frame(features, weights, 6)
    assert frame.axes.T @ frame.axes == pytest.approx(np.eye(6), abs=1e-8)
    codes, share = frame.codes(features), weights / weights.sum()
    assert share @ codes == pytest.approx(np.zeros(6), abs=1e-4)
    assert (codes * share[:, None]).T @ codes == pytest.approx(np.eye(6), abs=1e-3)


def test_two_gaussians_find_two_clusters_and_likelihood_rises() -> None:
    features, _ = drawn_faces()
    codes = fit_frame(features, np.ones(COUNT, np.float32), 6).codes(features)
    ones = np.ones(COUNT, np.float32)
    one = fit_components(codes, ones, CONFIG.model_copy(update={"components": 1}))
    two = fit_components(codes, ones, CONFIG)
    assert two.log_density(codes).mean() > one.log_density(codes).mean() + 0.1
    belongs = two.log_each(codes).argmax(1)
    first, second = belongs[: COUNT // 2], belongs[COUNT // 2 :]
    assert abs(first.mean() - second.mean()) > 0.9


def test_a_fitted_density_obeys_what_the_faces_taught() -> None:
    features, faces = drawn_faces()
    density = fit_density(features, faces, np.ones(COUNT, np.float32), CONFIG)
    assert {"Smiling", "Frowning", "Male", AGE} <= set(density.probes.names)
    assert "Bald" not in density.probes.names, "nobody is"
    compiled = density.compile(Condition({"Smiling": True}, (45.0, 50.0)))
    codes = np.stack([density.draw(compiled, sample_generator(1, k)) for k in range(100)])
    made = density.frame.features(codes)
    assert (made[:, 0] > 0).mean() > 0.9
    assert made[:, 1].mean() == pytest.approx(1.5, abs=0.5), "47.5 years"


def test_embeddings_of_pictures_say_what_tells_people_apart() -> None:
    density = tiny_density()
    draws = stream(3, "people")
    truth = np.zeros((5, 8))
    truth[1, :3], truth[3, 3:] = 2.0, -1.0  # the others change light, say
    codes = draws.standard_normal((400, 5)) + 1
    embeddings = codes @ truth + 7 + 0.1 * draws.standard_normal((400, 8))
    first, second = identity_regression(codes, embeddings)
    assert first == pytest.approx(truth, abs=0.1)
    assert codes @ first + second == pytest.approx(embeddings, abs=0.6)
    found = with_people(density, codes, embeddings).people
    assert found is not None
    assert found.shape == (5, 5)
    assert (found**2).sum() == pytest.approx(5)
    person, light = found.T @ np.eye(5)[:, [1, 3]], found.T @ np.eye(5)[:, [0, 2, 4]]
    assert (person**2).sum(0).min() > 20 * (light**2).sum(0).max()


def test_a_version_is_a_digest_of_what_is_drawn_from(tmp_path: Path) -> None:
    def version(density: FaceDensity, **about: str) -> str:
        export_density(tmp_path / "a.safetensors", density, {"model": MODEL, **about})
        return str(load_weights(tmp_path / "a.safetensors", model=MODEL)[1]["version"])

    density = tiny_density()
    own = version(density)
    assert own.startswith(f"{MODEL}-")
    assert version(density, data="another name for the same") == own
    assert version(replace(density, strictness=0.5)) != own
    moved = replace(density.components, means=density.components.means + 0.1)
    assert version(replace(density, components=moved)) != own
    assert version(density, version="mine") == "mine"


def test_too_few_faces_and_no_labels_are_refused() -> None:
    features, faces = drawn_faces()
    with pytest.raises(TrainingError, match="5 faces given; more than 6 are needed"):
        fit_density(features[:5], faces[:5], np.ones(5, np.float32), CONFIG)
    with pytest.raises(TrainingError, match="no attribute has faces with and without it"):
        fit_density(features, [FaceRow()] * COUNT, np.ones(COUNT, np.float32), CONFIG)


def test_probes_learn_what_is_shown_and_not_what_is_hidden() -> None:
    density = tiny_density(1)
    names = density.probes.names
    probes = replace(density.probes, weights=np.vstack([np.ones((2, len(names))), np.zeros((3, len(names)))]))
    density = replace(density, probes=probes)
    frame = density.frame

    def draw(features: np.ndarray, requests: list[FaceRequest]) -> list[UInt8Image]:
        codes = frame.codes(features)
        codes[:, 1] = 0  # this renderer does not show the second axis
        return [np.round(code * 20 + 128).astype(np.uint8) for code in codes]

    def encode(pictures: list[UInt8Image]) -> np.ndarray:
        return frame.features((np.stack(pictures).astype(float) - 128) / 20)

    codes, seen = drawn_and_seen(density, draw, encode, 320, seed=1)
    assert codes.shape == (320, 5)
    scores = density.probes.scores(density.frame.codes(seen))
    found = visible_probes(density.probes, codes, scores)
    assert found.weights[0] == pytest.approx(np.ones(len(names)), abs=0.15)
    assert np.abs(found.weights[1:]).max() < 0.15
    shown = with_visible_probes(density, codes, scores)
    assert (shown.probes.present <= density.probes.present + 1e-9).all()
    assert (shown.probes.absent >= density.probes.absent - 1e-9).all()


def test_without_no_beard_are_those_who_surely_have_a_beard() -> None:
    scores = np.array([-2.0, -1.5, *np.full(18, -0.3)])
    assert level_without("No Beard", scores) == pytest.approx(np.mean([-2.0, -1.5, -0.3]))
    assert level_without("Smiling", scores) == pytest.approx(scores.mean())
