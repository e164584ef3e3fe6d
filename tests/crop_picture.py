"""The crop convention as a picture for the documentation, drawn from the mean shape: no photograph of a person."""

from __future__ import annotations

import cv2
import numpy as np

from mien.core.records import UInt8Image
from mien.faces import align
from mien.faces.landmarks import IBUG_68
from mien.faces.pose import CAMERA_AXES, mean_shape

SIZE_PX = 512
MARGIN_PX = 64
INK, FRAME, WINDOW, MARK, PAPER = (70, 70, 70), (20, 20, 20), (30, 90, 200), (200, 40, 40), (255, 255, 255)
# Runs of the 68 points that are drawn as one line, and whether it is closed.
LINES = ((0, 17, False), (17, 22, False), (22, 27, False), (27, 31, False), (31, 36, False), (36, 42, True),
         (42, 48, True), (48, 60, True), (60, 68, True))  # fmt: skip


def draw_convention() -> UInt8Image:
    """The square of a crop, the places of eyes and mouth in it, and the encoder's window: 640 x 640 uint8 RGB."""
    side = SIZE_PX + 2 * MARGIN_PX
    page = np.full((side, side, 3), PAPER, np.uint8)
    points = mean_shape().points * CAMERA_AXES
    placed = align.apply(align.crop_transform(points, SIZE_PX), points) + MARGIN_PX
    for start, stop, closed in LINES:
        _line(page, placed[list(IBUG_68[start:stop])], closed)
    _rectangle(page, (0.0, 0.0, 1.0, 1.0), FRAME, 2)
    share = align.EYE_DISTANCE / align.ENCODER_EYE_DISTANCE
    left, top = align.EYE_X - share / 2, align.EYE_Y - align.ENCODER_EYE_Y * share
    _rectangle(page, (left, top, left + share, top + share), WINDOW, 1)
    eyes = [(align.EYE_X + sign * align.EYE_DISTANCE / 2, align.EYE_Y) for sign in (-1, 1)]
    mouth = (align.EYE_X, align.EYE_Y + align.EYE_DISTANCE * align.MOUTH_DISTANCE_IN_EYE_DISTANCES)
    for place in (*eyes, (align.EYE_X, align.EYE_Y), mouth):
        cv2.drawMarker(page, _pixel(place), MARK, cv2.MARKER_CROSS, 14, 1, cv2.LINE_AA)
    _text(page, "0, 0", (0.0, -0.02), FRAME)
    _text(page, "1, 1", (0.94, 1.045), FRAME)
    _text(page, f"eyes {align.EYE_DISTANCE:.2f} apart, at {align.EYE_X:.2f}, {align.EYE_Y:.2f}", (0.29, -0.02), MARK)
    _text(page, f"mouth {mouth[1] - align.EYE_Y:.3f} below the eyes", (0.33, 1.045), MARK)
    _text(page, "the encoder's window", (left + 0.01, top + share - 0.015), WINDOW)
    return page


def _pixel(place: tuple[float, float]) -> tuple[int, int]:
    return round(place[0] * SIZE_PX - 0.5) + MARGIN_PX, round(place[1] * SIZE_PX - 0.5) + MARGIN_PX


def _line(page: UInt8Image, points: align.Float64Array, closed: bool) -> None:
    fine = np.rint(points * 16).astype(np.int32)[:, None]  # cv2 takes sixteenths of a pixel
    cv2.polylines(page, [fine], closed, INK, 2, cv2.LINE_AA, shift=4)


def _rectangle(page: UInt8Image, box: tuple[float, float, float, float], colour: tuple[int, ...], width: int) -> None:
    cv2.rectangle(page, _pixel(box[:2]), _pixel(box[2:]), colour, width)


def _text(page: UInt8Image, words: str, place: tuple[float, float], colour: tuple[int, ...]) -> None:
    cv2.putText(page, words, _pixel(place), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
