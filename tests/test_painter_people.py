"""Whoever is drawn is brought to an age and a sex that are read, not to a linear score of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from mien.attributes.heads import AGES
from mien.attributes.person import PersonReader, packaged_person_reader
from mien.attributes.reader import AttributeReader
from mien.core.contract import FaceRequest
from mien.faces.align import encoder_window
from mien.generators.imagine.density import Components, Condition, FaceDensity, Frame, Probes
from mien.generators.painter.ages import AgeSolver, aimed_years
from mien.generators.painter.people import painted


def density(size: int = 6) -> FaceDensity:
    frame = Frame(np.zeros(size), np.ones(size), np.eye(size), np.ones(size), 1.0)
    probes = Probes(("Male", "age"), np.eye(size)[:, :2], np.zeros(2), np.ones(2), np.zeros(2))
    return FaceDensity(frame, Components(np.ones(1), np.zeros((1, size)), np.eye(size)[None]), probes)


def reader(size: int = 6) -> PersonReader:
    """Age by a curve of feature 1, log-odds of a woman by feature 0."""
    person, age, sex = nn.Linear(size, 4), nn.Linear(4, AGES), nn.Linear(4, 2)
    with torch.no_grad():
        for layer in (person, age, sex):
            layer.weight.zero_()
            layer.bias.zero_()
        person.weight[0, 1], person.weight[1, 1], person.weight[2, 0], person.weight[3, 0] = 1, -1, 1, -1
        age.weight[:, 0], age.weight[:, 1] = torch.linspace(0, 2, AGES), torch.linspace(2, 0, AGES)
        sex.weight[:, 2], sex.weight[:, 3] = torch.tensor([-2.0, 2.0]), torch.tensor([2.0, -2.0])
    return PersonReader(torch.zeros(size), torch.ones(size), person, age, sex, 1.0, 0.0)


@pytest.mark.parametrize("age", [12.0, 40.0, 88.0])
@pytest.mark.parametrize("male", [True, False])
def test_what_is_read_is_what_was_asked_for(age: float, male: bool) -> None:
    reads = reader()
    age_solver = AgeSolver(density(), reads)
    for begin in np.random.default_rng(0).standard_normal((5, 6)):
        found = age_solver.solve(begin, (age - 1, age + 1), male)
        years, woman = reads.read(found[None])
        assert age - 1.05 <= float(years[0]) <= age + 1.05
        assert (float(woman[0]) > 0.5) == (not male)
        assert np.allclose(found[2:], begin[2:]), "what nobody asked for stays"


def test_who_is_as_asked_stays_as_they_are() -> None:
    begin = np.random.default_rng(1).standard_normal(6)
    assert np.array_equal(AgeSolver(density(), reader()).solve(begin, (0.0, 100.0)), begin)


def solver(toward_men: float) -> AgeSolver:
    """A reader of two numbers of a code: 10 years a unit of the first, and who is older is the more like a man."""

    def answers(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return 30 + 10 * features[:, 0], 5 + features[:, 1] - toward_men * features[:, 0]

    found = AgeSolver.__new__(AgeSolver)
    found.axes = found.metric = torch.eye(3, dtype=torch.float64)
    found.reader = cast(PersonReader, SimpleNamespace(answers=answers))
    return found


def test_a_code_grows_old_and_its_sex_stays_where_it_was() -> None:
    """The nearest code of 75 years that is as much of a woman; where sex is left open it goes with age."""
    found = solver(toward_men=1.0).solve(np.zeros(3), (75.0, 75.0), male=False)
    assert found == pytest.approx([4.5, 4.5, 0.0], abs=1e-3)
    assert solver(1.0).solve(np.zeros(3), (75.0, 75.0), male=None) == pytest.approx([4.5, 0.0, 0.0], abs=1e-3)
    other = solver(1.0).solve(np.zeros(3), (30.0, 30.0), male=True)
    assert other == pytest.approx([0.0, -10.0, 0.0], abs=1e-3), "as much of a man as she was of a woman"


def test_a_childs_sex_is_held_loosely() -> None:
    """It is not seen in a face: a code that is held as firmly as a grown-up's goes farther from who it is."""
    child = solver(toward_men=-3.0).solve(np.zeros(3), (8.0, 8.0), male=False)
    assert child == pytest.approx([-2.2, 2.1, 0.0], abs=1e-3), "0.5 log-odds, not the 5 of the beginning"


def test_a_code_goes_no_farther_than_there_are_people() -> None:
    far = solver(toward_men=0.0).solve(np.zeros(3), (500.0, 500.0), male=False)
    assert 12 <= float(np.linalg.norm(far)) < 13


def test_the_reader_of_persons_says_what_the_heads_say_of_the_same_features() -> None:
    heads = AttributeReader.load()
    photo = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    photo = nn.functional.interpolate(nn.functional.avg_pool2d(photo, 16), size=128, mode="bicubic").clamp(-1, 1)
    with torch.no_grad():
        pool = heads.encoder(encoder_window(photo, heads.encoder.input_size), ["pool"])["pool"]
    crop = ((photo[0].permute(1, 2, 0) + 1) * 127.5).round().to(torch.uint8).numpy()
    whole = heads.read(crop[None], mirrored=False)
    years, woman = packaged_person_reader().read(pool.flatten(1).numpy())
    assert float(years[0]) == pytest.approx(float(whole.age_years[0]), abs=1.0)
    assert float(woman[0]) == pytest.approx(float(whole.female[0]), abs=0.1)


def test_the_packaged_density_draws_the_young_and_the_old_that_are_asked_for() -> None:
    makes, reads = painted(), packaged_person_reader()
    for age in (8.0, 30.0, 75.0):
        rows = makes.features(Condition({"Male": age < 50}, (age - 1, age + 1)), [FaceRequest(2, k) for k in range(4)])
        years, woman = reads.read(rows)
        assert np.abs(years - sum(aimed_years((age - 1, age + 1))) / 2).max() < 2, (age, years)
        assert ((woman > 0.5) == (age > 50)).all()


@pytest.mark.parametrize(
    ("asked", "low", "high"), [((16.0, 120.0), 11, 90), ((60.0, 80.0), 65, 90), ((30.0, 30.0), 27, 31)]
)
def test_an_age_is_aimed_at_from_within_its_range_and_against_the_pull(
    asked: tuple[float, float], low: float, high: float
) -> None:
    found = aimed_years(asked)
    assert low <= found[0] <= found[1] <= high
