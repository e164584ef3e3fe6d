"""What nobody asks for stays as in photographs: light and colour of a face and of what is behind it.

A decoder that is to be recognised by an encoder learns to write into the background what the encoder reads of a face:
behind women it is yellow, and the surer a code is of anything, the louder it is. So some readings of pictures are
linear scores of the code, as attributes are (``density.Probes``), fitted on what the decoder draws, and every face is
asked to keep them within the bounds of photographs, whatever else is wished.

Readings are CIE L*a*b* (L* 0 to 100; a* green to red, b* blue to yellow, about -100 to 100).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from mien.core.records import UInt8Image

Float64Array = npt.NDArray[np.float64]

NUISANCE = ("background light", "background red", "background yellow", "face light", "face contrast", "face colour")
READ_PX = 64
SKY = 30 / 64  # the background is read above this height ...
BESIDE = 8 / 64  # ... and within so much of either side
FACE = (22 / 64, 48 / 64, 20 / 64, 44 / 64)  # top, bottom, left, right of where the face is read


def readings(pictures: Sequence[UInt8Image] | UInt8Image) -> Float64Array:
    """Whole crops (H W 3 uint8, any size) -> N 6 in the order of ``NUISANCE``.

    L*, a* and b* of the upper corners, the mean and the deviation of L* within the face, and the face's mean chroma.
    """
    found = np.zeros((len(pictures), len(NUISANCE)))
    sky, beside = round(SKY * READ_PX), round(BESIDE * READ_PX)
    top, bottom, left, right = (round(share * READ_PX) for share in FACE)
    for row, picture in enumerate(pictures):
        small = cv2.resize(picture, (READ_PX, READ_PX), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        lab = cv2.cvtColor(small, cv2.COLOR_RGB2Lab)
        corners = np.concatenate([lab[:sky, :beside], lab[:sky, -beside:]], 1).reshape(-1, 3)
        face = lab[top:bottom, left:right].reshape(-1, 3).astype(np.float64)
        chroma = np.hypot(face[:, 1].mean(), face[:, 2].mean())
        found[row] = (*corners.mean(0), face[:, 0].mean(), face[:, 0].std(), chroma)
    return found
