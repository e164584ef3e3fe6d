"""The one list of formats that photographs come in. It imports nothing: whoever only lists files pays nothing for it.

Not everything that Pillow can open: EPS would start Ghostscript.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PhotoFormat:
    """One format: as people say it, as Pillow calls it, how its files end, how browsers and tools call its type."""

    words: str
    pillow: tuple[str, ...]
    suffixes: tuple[str, ...]
    types: tuple[str, ...]


FORMATS = (
    PhotoFormat("JPEG", ("JPEG", "MPO"), (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".mpo"),
                ("image/jpeg", "image/jpg", "image/pjpeg", "image/mpo")),
    PhotoFormat("PNG", ("PNG",), (".png", ".apng"), ("image/png", "image/x-png", "image/apng")),
    PhotoFormat("WebP", ("WEBP",), (".webp",), ("image/webp",)),
    PhotoFormat("HEIC", ("HEIF",), (".heic", ".heif", ".hif", ".heics", ".heifs"),
                ("image/heic", "image/heif", "image/heic-sequence", "image/heif-sequence")),
    PhotoFormat("AVIF", ("AVIF",), (".avif", ".avifs"), ("image/avif", "image/avif-sequence")),
    PhotoFormat("JPEG 2000", ("JPEG2000",), (".jp2", ".j2k", ".jpx", ".jpf", ".jpc", ".j2c"),
                ("image/jp2", "image/jpx", "image/j2k", "image/jpeg2000")),
    PhotoFormat("TIFF", ("TIFF",), (".tif", ".tiff"), ("image/tiff", "image/tif")),
    PhotoFormat("GIF", ("GIF",), (".gif",), ("image/gif",)),
    PhotoFormat("BMP", ("BMP", "DIB"), (".bmp", ".dib"), ("image/bmp", "image/x-ms-bmp", "image/x-bmp")),
    PhotoFormat("PPM", ("PPM",), (".ppm", ".pgm", ".pbm", ".pnm"),
                ("image/x-portable-pixmap", "image/x-portable-graymap", "image/x-portable-anymap")),
)  # fmt: skip
SUFFIXES = tuple(suffix for one in FORMATS for suffix in one.suffixes)
TYPES = tuple(name for one in FORMATS for name in one.types)
MAIN_TYPES = tuple(one.types[0] for one in FORMATS)
PILLOW_NAMES = tuple(name for one in FORMATS for name in one.pillow)
WORDS = ", ".join(one.words for one in FORMATS)


def is_photo_name(name: str) -> bool:
    """Whether a file of this name is taken for a photo; hidden files (``._x.jpg`` of macOS) are not."""
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)
