"""Is this upload one photograph, of the type it says, and nothing else? Decided by its bytes, before any is decoded.

A polyglot (a picture that is also an archive, a page or a program) is refused: nothing may follow the end of the
picture but what cameras put there (a second JPEG, a short film, zeros), and no markup may stand in its first bytes.
"""

from __future__ import annotations

import io
import re
import struct
import warnings

import PIL.Image

from mien.core.errors import PhotoError
from mien.core.images import decode_photo
from mien.core.records import UInt8Image

# What may be uploaded: type as in HTTP -> (Pillow's name, how such a file begins).
TYPES = {
    "image/jpeg": ("JPEG", re.compile(rb"\xff\xd8\xff")),
    "image/png": ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    "image/webp": ("WEBP", re.compile(rb"RIFF....WEBP", re.S)),
    "image/avif": ("AVIF", re.compile(rb"....ftyp(avif|mif1|avis)", re.S)),
}
HEAD_BYTES = 1024
MARKUP = re.compile(rb"<(!doctype|html|script|svg|\?php|\?xml\s)|%PDF-|\x7fELF", re.I)
ALLOWED = ", ".join(TYPES)


def size_of(data: bytes, content_type: str, *, megapixels: int) -> tuple[int, int]:
    """(height, width) of the photo in an upload, from its head. ``PhotoError.reason`` is one of ``empty``,
    ``wrong_type`` (415), ``not_an_image`` (415), ``polyglot`` (415), ``too_large`` (413).
    """
    if not data:
        raise PhotoError("empty", "photo: the upload has 0 bytes")
    kind, start = TYPES[content_type]
    if not start.match(data):
        told = next((name for name, (_, other) in TYPES.items() if other.match(data)), "none of them")
        message = f"photo: Content-Type {content_type} given, but the bytes are {told}; allowed: {ALLOWED}"
        raise PhotoError("wrong_type", message)
    rest = data[end_of(data, kind) :]
    # XMP in a JPEG's head is XML that every photo editor writes; elsewhere markup has no business.
    if not _harmless(rest) or (kind != "JPEG" and MARKUP.search(data[:HEAD_BYTES])):
        raise PhotoError("polyglot", "photo: the file is a picture and something else; a plain picture is wanted")
    return _size(data, kind, megapixels)


def photo_of(data: bytes, content_type: str, *, megapixels: int) -> UInt8Image:
    """The photo in an upload (H W 3 uint8 RGB). ``PhotoError`` as of ``size_of``, or ``truncated``."""
    size_of(data, content_type, megapixels=megapixels)
    return decode_photo(data, name="photo")


def _size(data: bytes, kind: str, megapixels: int) -> tuple[int, int]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            PIL.Image.init()
            with PIL.Image.open(io.BytesIO(data), formats=[kind]) as image:
                width, height = image.size
    except PIL.Image.DecompressionBombError as error:
        raise PhotoError("too_large", f"photo: more than {megapixels} megapixels; allowed are {megapixels}") from error
    except Exception as error:  # as in images: Pillow's readers raise whatever their parsing meets
        raise PhotoError("not_an_image", "photo: not an image that can be read") from error
    if width * height > megapixels * 1_000_000:
        raise PhotoError("too_large", f"photo: {width} x {height} px; allowed are {megapixels} megapixels")
    return height, width


def end_of(data: bytes, kind: str) -> int:
    """Where the picture ends in a file of that kind; the length of ``data`` where it is cut short."""
    ends = {"JPEG": _jpeg_end, "PNG": _png_end, "WEBP": _riff_end, "AVIF": _boxes_end}
    try:
        return min(ends[kind](data), len(data))
    except (struct.error, IndexError):
        return len(data)


def _harmless(rest: bytes) -> bool:
    """Whether what follows a picture is nothing, zeros, another JPEG or a film (phones append both)."""
    if not rest.strip(b"\0\r\n "):
        return True
    film = rest[4:8] == b"ftyp"
    return (rest.startswith(b"\xff\xd8\xff") or film) and b"PK\x05\x06" not in rest and not MARKUP.search(rest)


def _jpeg_end(data: bytes) -> int:
    place = 2
    while True:
        if data[place] != 0xFF:
            return len(data)  # damaged: the decoder will say so
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker == 0xD9:
            return place + 2
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            place += 2
        else:
            place += 2 + struct.unpack_from(">H", data, place + 2)[0]
            if marker == 0xDA:
                place = _after_scan(data, place)


def _after_scan(data: bytes, place: int) -> int:
    """The next marker after entropy-coded data: a 0xFF that no zero and no restart number follows."""
    while True:
        place = data.find(b"\xff", place)
        if place < 0 or place + 1 >= len(data):
            raise IndexError
        if data[place + 1] != 0 and not 0xD0 <= data[place + 1] <= 0xD7:
            return place
        place += 2


def _png_end(data: bytes) -> int:
    place = 8
    while True:
        length, name = struct.unpack_from(">I4s", data, place)
        place += 12 + int(length)
        if name == b"IEND":
            return place


def _riff_end(data: bytes) -> int:
    length = int(struct.unpack_from("<I", data, 4)[0])
    return 8 + length + length % 2


def _boxes_end(data: bytes) -> int:
    place: int = 0
    while place < len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        if length == 0 or not name.isalnum():
            break
        if length == 1:
            length = int(struct.unpack_from(">Q", data, place + 8)[0])
        if length < 8:
            break
        place += length
    return place
