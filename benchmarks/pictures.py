"""The pictures of faces in README and docs, made anew: ``python benchmarks/pictures.py [crowd imagine character]``.

None is chosen: the first faces of a seed. Written as JPEG into ``docs/pictures``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np

import mien
from mien.core.files import write_bytes
from mien.core.images import caption, encode_jpeg, resize, sheet
from mien.core.records import UInt8Image
from mien.pipelines.character import CharacterPart, character_sheet, load_character
from mien.pipelines.request import imagine_request

OUT = Path(__file__).resolve().parent.parent / "docs" / "pictures"
SEED = 2026
SIDE_PX, CAPTION_PX, QUALITY = 128, 18, 90
WORDS = (
    "smiling, woman, brown hair", "man, gray hair, mustache, not smiling", "asian, man, eyeglasses",
    "woman, blond hair, lipstick", "child, smiling", "bald, beard", "black, woman, bangs",
)  # fmt: skip
WHO, WHO_SEED = "a woman of 35 with brown hair", 4
CHARACTER_SHARE = 0.75  # of its sheet's size


def crowd() -> UInt8Image:
    """Forty faces, each with its labels."""
    faces = mien.load("crowd").sample(40, age=(5, 75), seed=SEED)
    tiles = [
        np.concatenate(
            [
                resize(face.image, SIDE_PX, SIDE_PX),
                caption(f"{face.labels.sex} {face.labels.age_years:.0f}", SIDE_PX, CAPTION_PX),
            ]
        )
        for face in faces
    ]
    return sheet(tiles, 10)


def imagine() -> UInt8Image:
    """Eight faces for each of seven descriptions, each of another seed: one seed would draw the same people again."""
    model, lines = mien.load("imagine"), []
    for number, words in enumerate(WORDS):
        faces = model.sample(words, 8, seed=SEED + number)
        row = sheet([resize(face.image, SIDE_PX, SIDE_PX) for face in faces], 8)
        lines += [caption(words, row.shape[1], CAPTION_PX + 4), row]
    return np.concatenate(lines)


def character() -> UInt8Image:
    """One person thirteen times."""
    maker, request = load_character(), imagine_request(WHO, seed=WHO_SEED).request
    pictures = [picture for part in CharacterPart.of(request) for picture in maker.pictures(part)]
    page = character_sheet([one.image for one in pictures], [str(one.row["variation"]) for one in pictures])
    height, width = (round(CHARACTER_SHARE * side) for side in page.shape[:2])
    return np.asarray(cv2.resize(page, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


PICTURES: Mapping[str, Callable[[], UInt8Image]] = {"crowd": crowd, "imagine": imagine, "character": character}

if __name__ == "__main__":
    for name in sys.argv[1:] or PICTURES:
        write_bytes(OUT / f"{name}.jpg", encode_jpeg(PICTURES[name](), QUALITY))
        print(OUT / f"{name}.jpg")
