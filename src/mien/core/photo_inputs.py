"""What callers in Python may give as a photo: a path, bytes, a PIL image or an array."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image

from mien.core.errors import PhotoError, RequestError
from mien.core.photos import MAX_PIXELS, PhotoFile, decode_photo_file, in_megapixels, read_photo_file, rgb8
from mien.core.records import UInt8Image

PhotoInput = str | os.PathLike[str] | bytes | bytearray | memoryview | PIL.Image.Image | npt.NDArray[Any]
PHOTO_WANTED = "a path, bytes, a PIL image, or an array H W, H W 1, H W 3 or H W 4 of uint8, uint16 or float"


def photo_of(given: PhotoInput, *, name: str = "photo") -> PhotoFile:
    """What Python may be given as a photo -> a photo (H W 3 uint8 RGB), the same for the same picture.

    Args:
        given: a path; the bytes of a file; a PIL image (stood upright by its EXIF, transparency over white); or an
            array, row 0 at the top, RGB: H W or H W 1 (grey), H W 3, or H W 4 (with opacity, laid over white).
            uint8 is 0 to 255, uint16 0 to 65535; float is 0 to 1, or 0 to 255 where a value is over 1.
        name: what it is called in messages.

    Raises:
        RequestError: another type, shape or range.
        PhotoError: a file that cannot be read (``read_photo``).
    """
    if isinstance(given, str | os.PathLike):
        return read_photo_file(given)
    if isinstance(given, bytes | bytearray | memoryview):
        return decode_photo_file(bytes(given), name=name)
    if isinstance(given, PIL.Image.Image):
        if given.width * given.height > MAX_PIXELS:
            raise PhotoError("too_large", f"{name}: more than {in_megapixels(MAX_PIXELS)}")
        if 0 in given.size:
            raise RequestError(f"{name}: image of {given.width} x {given.height} px given; wanted: {PHOTO_WANTED}")
        return PhotoFile(rgb8(given, name), str(given.format or ""), "")
    if isinstance(given, np.ndarray):
        return PhotoFile(_of_array(given, name), "", "")
    raise RequestError(f"{name}: {type(given).__name__} given; wanted: {PHOTO_WANTED}")


def _of_array(values: npt.NDArray[Any], name: str) -> UInt8Image:
    kind = values.dtype
    shape = values.shape[:2] + ((1,) if values.ndim == 2 else values.shape[2:])
    right = kind.type in (np.uint8, np.uint16) or np.issubdtype(kind, np.floating)
    if not right or len(shape) != 3 or shape[2] not in (1, 3, 4) or 0 in shape:
        raise RequestError(f"{name}: array of shape {values.shape}, {kind} given; wanted: {PHOTO_WANTED}")
    if kind.type is np.uint16:
        if 0 < values.max() <= 255:  # black to the eye: 8 bits in a wider type
            raise RequestError(f"{name}: uint16 up to {values.max()} given; allowed: 0 to 65535 (0 to 255 as uint8)")
        values = (values.astype(np.uint32) * 255 + 32767) // 65535
    elif kind.type is not np.uint8:
        values = values.astype(np.float32)
        low, high = float(values.min()), float(values.max())
        if not 0 <= low <= high <= 255:  # also false of NaN
            raise RequestError(f"{name}: floats from {low:g} to {high:g} given; allowed: 0 to 1, or 0 to 255")
        values = values * (255 if high <= 1 else 1) + 0.5
    pixels = np.ascontiguousarray(values.reshape(shape).astype(np.uint8))
    if shape[2] == 3:
        return pixels
    if shape[2] == 1:
        return pixels.repeat(3, 2)
    return rgb8(PIL.Image.fromarray(pixels, "RGBA"), name)
