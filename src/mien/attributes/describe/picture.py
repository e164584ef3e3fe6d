"""The photo with a numbered box around each face, and below it a line or two about each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from mien.attributes.describe.records import FaceDescription, PhotoDescription
from mien.core.images import resize
from mien.core.records import Box, UInt8Image

LEAST_WIDTH_PX, LARGEST_SIDE_PX = 640, 1600  # of the photo as it is shown
INK, SOFT_INK, PAPER, EDGE = (28, 30, 34), (110, 114, 122), (255, 255, 255), (0, 0, 0)
# Eight colours that stay apart for the colour-blind (after Okabe and Ito 2008), dark enough for white figures.
COLOURS = ((0, 104, 170), (200, 80, 0), (0, 130, 95), (170, 75, 130), (120, 90, 0), (60, 60, 160), (180, 30, 45),
           (70, 75, 80))  # fmt: skip
NO_FACE = "no face found"

_Rectangle = tuple[float, float, float, float]
_Font = PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont


def draw(photo: UInt8Image, described: PhotoDescription) -> UInt8Image:
    """The picture (H W 3 uint8 RGB). The photo is shown 640 px wide or more, with no side over 1,600 px."""
    shown, scale = _shown(photo)
    text = max(round(shown.shape[1] / 52), 15)
    page = PIL.Image.fromarray(shown)
    boxes = [_scaled(face.box, scale) for face in described.faces]
    pencil = PIL.ImageDraw.Draw(page, "RGBA")
    for box in (_scaled(box, scale) for box in described.too_small):
        pencil.rectangle(box, outline=(*SOFT_INK, 255), width=1)
    for number, box in enumerate(boxes):
        _frame(pencil, box, COLOURS[number % len(COLOURS)], max(round(text / 8), 2))
    _labels(pencil, described.faces, boxes, page.size, text)
    return np.concatenate([np.asarray(page, np.uint8), _panel(described, page.width, text)])


def _shown(photo: UInt8Image) -> tuple[UInt8Image, float]:
    """The photo at a size at which its captions can be read, and by how much it was scaled."""
    height, width = photo.shape[:2]
    scale = LEAST_WIDTH_PX / width if width < LEAST_WIDTH_PX else 1.0
    scale = min(scale, LARGEST_SIDE_PX / max(height, width))
    size = max(round(height * scale), 1), max(round(width * scale), 1)
    if size[1] < LEAST_WIDTH_PX:  # a tall narrow photo: white beside it
        shown = np.full((size[0], LEAST_WIDTH_PX, 3), 255, np.uint8)
        shown[:, : size[1]] = resize(photo, *size)
        return shown, scale
    return (np.ascontiguousarray(photo) if scale == 1 else resize(photo, *size)), scale


def _scaled(box: Box, scale: float) -> _Rectangle:
    """A box in the pixels of the picture, a little wider than the mesh."""
    rim = 0.06 * max(box.width, box.height)
    low, high = (box.x0 - rim, box.y0 - rim), (box.x1 + rim, box.y1 + rim)
    return (*(round((v + 0.5) * scale - 0.5) for v in low), *(round((v + 0.5) * scale - 0.5) for v in high))  # type: ignore[return-value]


def _frame(pencil: PIL.ImageDraw.ImageDraw, box: _Rectangle, colour: tuple[int, int, int], width: int) -> None:
    """A line of ``colour`` between two white ones, so that it shows on any photo."""
    radius = max(min(box[2] - box[0], box[3] - box[1]) / 14, 2)
    outer = (box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1)
    pencil.rounded_rectangle(outer, radius + 1, outline=(255, 255, 255, 200), width=width + 2)
    pencil.rounded_rectangle(box, radius, outline=(*colour, 255), width=width)


def _labels(
    pencil: PIL.ImageDraw.ImageDraw,
    faces: Sequence[FaceDescription],
    boxes: Sequence[_Rectangle],
    size: tuple[int, int],
    text: int,
) -> None:
    """A label at each box, where it hides no other label and no other face: above, below, or just the number inside."""
    font = _font(text)
    taken: list[_Rectangle] = []
    for number, (face, box) in enumerate(zip(faces, boxes, strict=True)):
        busy = [*taken, *(other for other in boxes if other is not box)]
        short = str(number + 1)
        full = f"{short}  {face.noun}, {face.age_words.removeprefix('about ')}"
        choices = [(full, place) for place in _places(pencil, full, font, box, size)[:-1]]  # never on the face
        choices += [(short, place) for place in _places(pencil, short, font, box, size)]
        free = [choice for choice in choices if not any(_overlap(choice[1], other) for other in busy)]
        label, place = free[0] if free else choices[-1]
        taken.append(place)
        pencil.rounded_rectangle(place, 3, fill=(*COLOURS[number % len(COLOURS)], 235))
        pencil.text((place[0] + 5, (place[1] + place[3]) / 2), label, font=font, fill=PAPER, anchor="lm")


def _places(
    pencil: PIL.ImageDraw.ImageDraw, label: str, font: _Font, box: _Rectangle, size: tuple[int, int]
) -> list[_Rectangle]:
    """Where a label may lie, all within the picture: above its box, below it, and last inside at the top."""
    across, high = pencil.textlength(label, font=font) + 10, round(getattr(font, "size", 12) * 1.35)
    left = float(np.clip(box[0], 0, max(size[0] - across, 0)))
    lowest = max(size[1] - high, 0)
    tops = [top for top in (box[1] - high - 3, box[3] + 3) if 0 <= top <= lowest]
    tops.append(float(np.clip(box[1] + 2, 0, lowest)))
    return [(left, top, left + across, top + high) for top in tops]


def _overlap(a: _Rectangle, b: _Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _panel(described: PhotoDescription, width: int, text: int) -> UInt8Image:
    """The lines about each face, dark on white, as wide as the photo."""
    rows: list[tuple[int | None, list[str], str]] = [
        (number, _wrapped(face.sentence, width - 4 * text, text), _details(face))
        for number, face in enumerate(described.faces)
    ]
    if described.too_small:
        n = len(described.too_small)
        rows.append((None, [f"{n} more face{'s' if n > 1 else ''} too small to be described"], ""))
    elif not rows:
        rows.append((None, [NO_FACE], ""))
    line = round(text * 1.45)
    page = PIL.Image.new("RGB", (width, sum((len(lines) + 1) * line for _, lines, _ in rows) + line), PAPER)
    pencil = PIL.ImageDraw.Draw(page)
    y = line * 0.7
    for number, lines, details in rows:
        if number is not None:
            colour = COLOURS[number % len(COLOURS)]
            pencil.rounded_rectangle((text * 0.6, y, text * 2.4, y + line * 0.95), 3, fill=colour)
            pencil.text((text * 1.5, y + line * 0.47), str(number + 1), font=_font(text), fill=PAPER, anchor="mm")
        for words in lines:
            pencil.text((3 * text, y + line * 0.47), words, font=_font(text), fill=INK, anchor="lm")
            y += line
        small = _font(round(text * 0.82))
        pencil.text((3 * text, y + line * 0.35), details, font=small, fill=SOFT_INK, anchor="lm")
        y += line
    return np.asarray(page, np.uint8)


def _details(face: FaceDescription) -> str:
    parts = [face.sex_words, f"face {face.quality.size_px:.0f} px"]
    if face.remarks:
        parts.append(f"seen poorly: {', '.join(face.remarks)}")
    return "   ".join(parts)


def _wrapped(words: str, width: int, text: int) -> list[str]:
    """A sentence in lines that fit ``width`` px."""
    font, lines = _font(text), [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


@lru_cache(maxsize=8)
def _font(size: int) -> _Font:
    """Pillow's own scalable letters."""
    return PIL.ImageFont.load_default(size)
