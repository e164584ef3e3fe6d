"""A study small enough for tests: coloured squares instead of faces, and answers made up without any page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.core.images import write_png
from mien.core.seeding import stream
from mien.evaluation.study.answers import JudgedTrials
from mien.evaluation.study.design import REAL, Design, Rule, StudyPicture, StudyRequest
from mien.evaluation.study.freeze import freeze
from mien.evaluation.study.sources import candidates


def design_of(
    models: Sequence[str] = ("a", "b"),
    *,
    pool: int = 40,
    trials_a_model: int = 10,
    scrambled: int = 3,
    cards: int = 3,
    practice: int = 0,
    seed: int = 1,
    **other: object,
) -> Design:
    """A design without files: ``pool`` pictures of each model and as many real ones as of all."""
    rows = [(REAL, "trial")] * (pool * len(models)) + [(model, "trial") for model in models for _ in range(pool)]
    rows += [(models[0], "catch")] * scrambled + [(REAL if k % 2 else models[0], "practice") for k in range(practice)]
    pictures = [
        StudyPicture(id=f"{number:016x}", sha256="", role=role, source=source)  # type: ignore[arg-type]
        for number, (source, role) in enumerate(rows)
    ]
    values = {
        "mien": "0",
        "title": "Tiny",
        "seed": seed,
        "size_px": 64,
        "background": "whole",
        "matched": "",
        "models": tuple(models),
        "trials_a_model": trials_a_model,
        "scrambled": scrambled,
        "cards": cards,
        "pictures": tuple(pictures),
        **other,
    }
    return Design.make(values)


def judged_of(design: Design, said_real: np.ndarray, people: np.ndarray, pictures: np.ndarray) -> JudgedTrials:
    """Answers (N) as ``judged`` gives them; ``pictures`` are places among the design's trials."""
    trials = design.of("trial")
    source_of = np.array([design.sources.index(one.source) for one in trials])
    return JudgedTrials(
        design,
        people=people,
        pictures=pictures,
        sources=source_of[pictures],
        said_real=said_real,
        reaction_ms=np.full(len(people), 700.0),
        places=np.zeros(len(people), np.int64),
        numbers=tuple(range(int(people.max()) + 1)),
        ids=tuple(one.id for one in trials),
        flow={},
        left_out={},
    )


def write_folder(folder: Path, count: int, *, seed: int, size: int = 64, labelled: bool = False) -> Path:
    """Coloured noise as PNGs with text inside; with labels, also the manifest that mien writes."""
    random = stream(seed, "tiny pictures")
    rows = []
    for number in range(count):
        coarse = random.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        photo = np.kron(coarse, np.ones((size // 8, size // 8, 1), np.uint8))
        write_png(folder / f"{number:05d}.png", photo, {"mien": "made by a program", "Author": "somebody"})
        sex = "female" if number % 3 else "male"
        rows.append({"file": f"{number:05d}.png", "sex": sex, "age": 20 + number % 50})
    if labelled:
        (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def make_study(folder: Path, **other: object) -> Design:
    """Freeze a study of two models into ``folder/out``: 8 faces, 2 catch trials, 2 for practice."""
    real = write_folder(folder / "photographs", 20, seed=1)
    models = {name: write_folder(folder / f"made-{name}", 12, seed=seed) for name, seed in (("a", 2), ("b", 3))}
    values: dict[str, object] = {
        "title": "Tiny study",
        "seed": 5,
        "pictures": 6,
        "trials": 8,
        "practice": 2,
        "catch": 2,
        "rule": Rule(catch_misses=0),
        "background": "whole",
        **other,
    }
    found = {
        name: candidates(where, split="test", sources=(), background="whole", model=True)
        for name, where in models.items()
    }
    photos = candidates(real, split="test", sources=(), background="whole")
    return freeze(StudyRequest(**values), photos, found, folder / "out")  # type: ignore[arg-type]
