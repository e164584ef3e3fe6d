"""A photo in an upload: decided by its bytes, whatever its type says. It is decoded in memory and never stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mien.core.errors import PhotoError
from mien.core.filekinds import what_it_is
from mien.core.formats import TYPES, WORDS
from mien.core.photos import PhotoFile, decode_photo_file, photo_size

# What tools send that do not know what a file is; curl's --data-binary calls everything a form.
GENERIC_TYPES = ("", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded")
PHOTO_TYPES = (*TYPES, *GENERIC_TYPES)
Answer = TypeVar("Answer")


def size_of(data: bytes, *, megapixels: int) -> tuple[int, int]:
    """(height, width) of the photo in an upload, from its head. ``PhotoError`` as of ``photos.read_photo``."""
    return _read(photo_size, data, megapixels)


def photo_of(data: bytes, *, megapixels: int) -> PhotoFile:
    """The photo in an upload, and what was left out of it. ``PhotoError`` as of ``photos.read_photo``."""
    return _read(decode_photo_file, data, megapixels)


def _read(read: Callable[..., Answer], data: bytes, megapixels: int) -> Answer:
    try:
        return read(data, name="photo", most_pixels=megapixels * 1_000_000)
    except PhotoError as error:
        if error.reason != "not_an_image":
            raise
        kind = what_it_is(data)
        said = f", it is {kind}" if kind else ""
        raise PhotoError(error.reason, f"photo: not a picture that can be read{said}; allowed: {WORDS}") from error
