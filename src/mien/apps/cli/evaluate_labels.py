"""Faces made for judging: those asked for with a race, and those asked for with the words of ``--with``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from mien.core.contract import FaceRequest, Generator
    from mien.core.records import Labels, Sex, UInt8Image
    from mien.evaluation.crowd_attributes import WordFaces
    from mien.evaluation.faces import Faces
    from mien.evaluation.features import Advance, Track

WORD_AGES_YEARS = (20.0, 70.0)  # of the faces that words are asked of
# The photographs that words are learned from hardly show these on the other sex.
ONE_SEX: Mapping[str, Sex] = {
    "Mustache": "male",
    "No Beard": "male",
    "Bald": "male",
    "Wearing Lipstick": "female",
}


def make(generator: Generator, requests: Sequence[FaceRequest], size: int, advance: Advance) -> UInt8Image:
    """The images (N size size 3) of requests, in order, made a few hundred at a time."""
    import numpy as np

    from mien.core.images import in_crop

    images = np.empty((len(requests), size, size, 3), np.uint8)
    for start in range(0, len(requests), 256):
        for place, face in enumerate(generator.make(requests[start : start + 256]), start):
            images[place] = in_crop(face.image, generator.frame, size)
        advance(min(256, len(requests) - start))
    return images


def raced_faces(
    name: str, generator: Generator, size: int, labels: Faces, ages: np.ndarray[Any, Any], seed: int, track: Track
) -> Faces | None:
    """One face for each held-out face of known race, with its sex, age and race; the noise is that of the others.

    ``None`` where no race is known or the generator knows none.
    """
    from mien.core.contract import FaceRequest
    from mien.core.records import Labels
    from mien.evaluation.faces import Faces

    places = [place for place, race in enumerate(labels.races) if race and place < len(ages)]
    wanted = [Labels("female" if labels.female[k] else "male", float(ages[k]), race=labels.races[k]) for k in places]
    if not places or not knows(generator, wanted[0]):
        return None
    requests = [FaceRequest(seed, k, one) for k, one in zip(places, wanted, strict=True)]
    with track(f"{name}: faces made with a race", len(requests)) as advance:
        crops = make(generator, requests, size, advance)
    return Faces(crops, labels.female[places], ages[places], tuple(labels.races[k] for k in places))


def word_faces(
    name: str, generator: Generator, size: int, labels: Faces, count: int, seed: int, track: Track
) -> tuple[WordFaces, ...]:
    """``count`` faces for each word, asked with it, with "not" and without; sex and age are those of held-out adults.

    Nothing where ``count`` is 0 or the generator knows no words.
    """
    import numpy as np

    from mien.core.contract import FaceRequest
    from mien.core.records import Labels
    from mien.evaluation.crowd_attributes import WordFaces
    from mien.generators.conditions import ATTRIBUTES

    adults = np.flatnonzero((labels.ages_years >= WORD_AGES_YEARS[0]) & (labels.ages_years <= WORD_AGES_YEARS[1]))
    if not count or not len(adults) or not knows(generator, Labels(attributes={next(iter(ATTRIBUTES)): True})):
        return ()
    people = adults[np.arange(count) % len(adults)]

    def women(sex: Sex | None) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return labels.female[people] > 0.5 if sex is None else np.full(count, sex == "female")

    def requests(sex: Sex | None, attributes: dict[str, bool]) -> list[FaceRequest]:
        wanted = zip(women(sex), labels.ages_years[people], strict=True)
        return [
            FaceRequest(seed, place, Labels("female" if woman else "male", float(age), attributes=attributes))
            for place, (woman, age) in enumerate(wanted)
        ]

    found = []
    sexes = dict.fromkeys([ONE_SEX.get(attribute) for attribute in ATTRIBUTES])
    with track(f"{name}: faces made with words", count * (2 * len(ATTRIBUTES) + len(sexes))) as advance:
        plain = {sex: make(generator, requests(sex, {}), size, advance) for sex in sexes}
        for attribute, word in ATTRIBUTES.items():
            sex = ONE_SEX.get(attribute)
            asked, denied = (
                make(generator, requests(sex, {attribute: wanted}), size, advance) for wanted in (True, False)
            )
            who = {"male": "men", "female": "women", None: "men and women"}[sex]
            found.append(WordFaces(attribute, word, who, women(sex), asked, denied, plain[sex]))
    return tuple(found)


def knows(generator: Generator, labels: Labels) -> bool:
    """Whether a generator takes such labels, by trying one face."""
    from mien.core.contract import FaceRequest
    from mien.core.errors import RequestError

    try:
        generator.make([FaceRequest(0, 0, labels)])
    except RequestError:
        return False
    return True
