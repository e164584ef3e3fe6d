"""Choose how the default crowd draws its codes: guidance, temperature, steps and the calibration of ages.

    python benchmarks/choose_sampling.py WEIGHTS --data DEST [--count 384] [--write]
    python benchmarks/choose_sampling.py WEIGHTS --data DEST --guidance 1.5 --temperature 1 --steps 6 8 12

Faces are asked for with the labels of validation faces (never test faces), and judged as `mien evaluate crowd` does.
With --write the chosen settings go into WEIGHTS.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.attributes.age_sex import AgeSexJudge
from mien.core.checkpoints import load_weights, save_weights
from mien.core.contract import make, requests_for
from mien.core.records import Labels, UInt8Image
from mien.evaluation.detection import detection_rate
from mien.evaluation.faces import Faces, dataset_rows, read_faces, shuffled
from mien.evaluation.metrics import frechet_distance
from mien.evaluation.statistics import Moments
from mien.generators.crowd.mien import MODEL, MienCrowd, SamplingConfig

AGES = tuple(range(2, 93, 6))


def faces_of(crowd: MienCrowd, labels: Sequence[Labels], seed: int) -> UInt8Image:
    """The images of one face for each of ``labels``."""
    return np.stack([face.image for face in make(crowd, requests_for(labels, seed))])


def with_sampling(crowd: MienCrowd, sampling: SamplingConfig) -> MienCrowd:
    """The same networks, sampled otherwise."""
    config = crowd.config.model_copy(update={"sampling": sampling})
    return MienCrowd(crowd.decoder, crowd.density, config, crowd.version, str(crowd.device))


def judged(crowd: MienCrowd, judge: AgeSexJudge, real: Faces, real_moments: Moments) -> dict[str, float]:
    """Figures of a crowd that was asked for the labels of ``real``."""
    labels = [
        Labels("female" if female else "male", float(age))
        for female, age in zip(real.female, real.ages_years, strict=True)
    ]
    images = faces_of(crowd, labels, 7)
    found = judge.estimate(images)
    adults = real.ages_years >= 20
    right = found.is_female == (real.female == 1)
    return {
        "sex": float(right.mean()),
        "sex_adults": float(right[adults].mean()),
        "age_mae": float(np.abs(found.ages_years - real.ages_years).mean()),
        "age_bias": float((found.ages_years - real.ages_years).mean()),
        "frechet_judge": frechet_distance(Moments.of(found.features), real_moments),
        "detected": detection_rate(images).value,
    }


def ages_read(crowd: MienCrowd, judge: AgeSexJudge, each: int) -> np.ndarray:
    """Mean judged age for each of AGES asked, half women."""
    means = []
    for age in AGES:
        labels = [Labels("female" if k % 2 else "male", float(age)) for k in range(each)]
        means.append(float(judge.estimate(faces_of(crowd, labels, 11)).ages_years.mean()))
    return np.array(means)


def calibration(read: np.ndarray, wanted: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(asked, given): what the density is to be given so that the judge reads ``wanted`` (what it reads on photos)."""
    rising = np.maximum.accumulate(read + np.arange(len(read)) * 1e-3)
    given = np.interp(wanted, rising, AGES)
    given = np.maximum.accumulate(given + np.arange(len(given)) * 1e-3)
    return (0.0, *(float(age) for age in AGES), 100.0), (0.0, *(float(g) for g in given), 100.0)


def main() -> None:
    """Try, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=384)
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 1.5, 2.0, 2.5])
    parser.add_argument("--temperature", type=float, nargs="+", default=[0.8, 0.9, 1.0])
    parser.add_argument("--steps", type=int, nargs="+", help="default: those of WEIGHTS; with --choose: one")
    parser.add_argument("--grain", type=float, nargs="+", help="default: that of WEIGHTS; with --choose: one")
    parser.add_argument("--choose", type=float, nargs=2, metavar=("GUIDANCE", "TEMPERATURE"))
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()

    crowd, judge = MienCrowd.load(options.weights), AgeSexJudge.load()
    rows = shuffled(dataset_rows(options.data, "validation", sources=["utkface"], labelled=True), seed=0)
    real = read_faces(options.data, rows, crowd.size_px)
    estimate = judge.estimate(real.crops)
    moments = Moments.of(estimate.features)
    few = real.pick(slice(0, options.count))
    right = estimate.is_female == (real.female == 1)
    print(f"real n={len(real)}: sex {right.mean():.3f}, age {np.abs(estimate.ages_years - real.ages_years).mean():.2f}")
    base = crowd.config.sampling
    grains = options.grain or [base.grain]
    tried = itertools.product(options.guidance, options.temperature, options.steps or [base.steps], grains)
    for guidance, temperature, steps, grain in [] if options.choose else tried:
        sampling = base.model_copy(
            update={"guidance": guidance, "temperature": temperature, "steps": steps, "grain": grain}
        )
        figures = judged(with_sampling(crowd, sampling), judge, few, moments)
        print(
            guidance, temperature, steps, grain, {name: round(value, 3) for name, value in figures.items()}, flush=True
        )
    if not options.choose:
        return
    plain = SamplingConfig()
    chosen = base.model_copy(
        update={
            "guidance": options.choose[0],
            "temperature": options.choose[1],
            "steps": options.steps[0] if options.steps else base.steps,
            "grain": grains[0],
            "ages_asked": plain.ages_asked,
            "ages_given": plain.ages_given,
        }
    )
    read = ages_read(with_sampling(crowd, chosen), judge, 32)
    smooth = [np.abs(real.ages_years - age) <= 3 for age in AGES]
    wanted = np.array(
        [
            float(estimate.ages_years[near].mean()) if near.sum() >= 8 else float(age)
            for age, near in zip(AGES, smooth, strict=True)
        ]
    )
    asked, given = calibration(read, np.maximum.accumulate(wanted))
    for age, now, photos, then in zip(AGES, read, wanted, given[1:-1], strict=True):
        print(f"asked {age}: read {now:.1f}, on photos {photos:.1f}, given now {then:.1f}")
    chosen = chosen.model_copy(update={"ages_asked": asked, "ages_given": given})
    figures = judged(with_sampling(crowd, chosen), judge, few, moments)
    print("chosen", {name: round(value, 3) for name, value in figures.items()})
    if options.write:
        tensors, metadata = load_weights(options.weights, model=MODEL, dtype=None)
        metadata["config"]["sampling"] = chosen.model_dump(mode="json")
        save_weights(options.weights, tensors, metadata)
        print(options.weights)


if __name__ == "__main__":
    main()
