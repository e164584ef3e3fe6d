"""The only reader of pictures that others made: bytes of any format of ``core.formats`` -> a photo.

Pixels decide. A name, a media type, text chunks, EXIF and whatever lies behind a picture's end may be odd or damaged;
they never make a good picture unreadable, and limits on their size stay.
"""

from __future__ import annotations

import ctypes
import io
import logging
import os
import re
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import PIL.Image
import PIL.ImageOps

from mien.core.errors import PhotoError, RequestError
from mien.core.filekinds import what_it_is
from mien.core.formats import PILLOW_NAMES
from mien.core.images import decode_by_libtiff, is_grey
from mien.core.records import UInt8Image

MAX_PIXELS = 120_000_000  # about 360 MB decoded; a 30,000 x 30,000 bomb is refused before it is decoded
MAX_FILE_BYTES = 2**30
GREY_16_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")
GREY_MODES = ("1", "L", "LA", "La", "I", "F", *GREY_16_BIT_MODES)
HEIF_NEEDS = 'pillow-heif, which is not installed: pip install "mien[heic]"'
PNG_START = b"\x89PNG\r\n\x1a\n"
PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")  # without the others a PNG shows the same
MOST_TEXT_BYTES = 2**20  # of all text chunks of a PNG together, unpacked
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})
FILM = re.compile(rb"MotionPhoto_Data|(MotionPhoto|MicroVideo)(=\"|>)1")
TIFF_PHOTOMETRIC, TIFF_YCBCR = 262, 6  # a tag and its value
GAIN_MAP = re.compile(rb"hdrgm:|urn:iso:std:iso:ts:21496")  # the second picture of an "Ultra HDR" photo is no photo
ANIMATIONS = ("GIF", "PNG", "WEBP", "AVIF")

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else what it says of odd metadata lands on stderr


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A file as it was read: the photo (H W 3 uint8 RGB), Pillow's name of its format, and what was left out."""

    photo: UInt8Image
    format: str
    remark: str  # "an animation: its first frame is read"; empty where nothing was left out
    comment: str = ""  # of a JPEG or a GIF; for PNG see ``png_texts``


def read_photo(path: str | os.PathLike[str]) -> UInt8Image:
    """Read a file as a photo (H W 3 uint8 RGB), upright by its EXIF orientation.

    Greyscale, palette, CMYK, 16-bit and transparent files become RGB (transparency over white). A file that is empty,
    truncated, no image, or over ``MAX_PIXELS`` raises ``PhotoError`` with ``reason`` one of ``missing``, ``empty``,
    ``not_an_image``, ``truncated``, ``too_large``, ``needs_heif``.
    """
    return read_photo_file(path).photo


def read_photo_file(path: str | os.PathLike[str]) -> PhotoFile:
    """``read_photo`` with its format and what was left out."""
    return decode_photo_file(file_bytes(path), name=str(path))


def file_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a photo's file. ``PhotoError`` where it cannot be read, or has over ``MAX_FILE_BYTES``."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        why = f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}){_hint(str(path))}"
        raise PhotoError("missing", why) from error
    if len(data) > MAX_FILE_BYTES:
        raise PhotoError("too_large", f"{path}: more than {MAX_FILE_BYTES // 2**20} MiB")
    return data


def check_photo(path: str | os.PathLike[str], option: str) -> str:
    """What the file of a photo that ``option`` names holds beside it (``PhotoFile.remark``); told before networks load.

    ``RequestError`` where there is no such file, or none that can be read.
    """
    if not os.path.exists(path):
        raise RequestError(f"{option}: {path} given; there is no such file")
    if stat.S_ISFIFO(os.stat(path).st_mode):  # it can be read once alone
        return ""
    try:
        return read_photo_file(path).remark
    except PhotoError as error:
        raise RequestError(f"{option}: {error}") from error


def _hint(path: str) -> str:
    if re.match(r"[a-z][a-z0-9+.-]+:/", path, re.IGNORECASE):
        return "; it is an address: bring the file to this machine first"
    if path == "-":
        return "; photos are read from files: give /dev/stdin for the standard input"
    if re.search(r"[*?]", path):
        return "; the shell found no file for it"
    return "; the shell did not write ~ out" if path.startswith("~") else ""


def decode_photo(data: bytes, *, name: str = "image") -> UInt8Image:
    """Decode the bytes of an image file as ``read_photo`` does; ``name`` is used in messages."""
    return decode_photo_file(data, name=name).photo


def decode_photo_file(data: bytes, *, name: str = "image", most_pixels: int = MAX_PIXELS) -> PhotoFile:
    """``decode_photo`` with its format and what was left out; more than ``most_pixels`` are ``too_large``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata; bombs are refused by their size
        try:
            return _decoded(data, name, most_pixels)
        except PhotoError as error:
            if error.reason not in ("not_an_image", "truncated") or not data.startswith(PNG_START):
                raise
            bare = _pixels_alone(data)
            if bare == data:
                raise
        return _decoded(bare, name, most_pixels)


def photo_size(data: bytes, *, name: str = "image", most_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) of a picture as it lies in its file, from its head. ``PhotoError`` as of ``read_photo``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = _open(data, name, most_pixels)
        except PhotoError as error:
            if error.reason != "not_an_image" or not data.startswith(PNG_START):
                raise
            image = _open(_pixels_alone(data), name, most_pixels)
    return image.height, image.width


def photo_is_grey(data: bytes, *, tolerance: int = 8) -> bool:
    """Whether an image file has no colour: a grey mode, or channels nowhere more than ``tolerance`` apart (of 255)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grey_mode = _open(data, "image", MAX_PIXELS).mode in GREY_MODES
    return grey_mode or is_grey(decode_photo(data), tolerance=tolerance)


# What is taken for a photo wherever Python asks for one (``photo_of``).
def _decoded(data: bytes, name: str, most_pixels: int) -> PhotoFile:
    image = _open(data, name, most_pixels)
    kind = str(image.format)
    comment = image.info.get("comment", b"")
    words = comment.decode("latin-1") if isinstance(comment, bytes) else str(comment)
    photo = decode_by_libtiff(data) if _is_raw_ycbcr(image) else None
    photo = rgb8(image, name) if photo is None else photo
    return PhotoFile(photo, kind, _remark(image, kind, data), words)


def _is_raw_ycbcr(image: PIL.Image.Image) -> bool:
    """Whether it is a TIFF as some scanners write it: YCbCr, not packed, which Pillow opens and cannot unpack."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(TIFF_PHOTOMETRIC) == TIFF_YCBCR and image.info.get("compression") == "raw"


def _open(data: bytes, name: str, most_pixels: int) -> PIL.Image.Image:
    if not data:
        raise PhotoError("empty", f"{name}: the file has 0 bytes")
    if _is_heif(data) and not _heif_is_there():
        raise PhotoError("needs_heif", f"{name}: HEIC needs {HEIF_NEEDS}")
    PIL.Image.init()
    _hush_libtiff()
    formats = [name for name in PILLOW_NAMES if name in PIL.Image.OPEN]
    try:
        image = PIL.Image.open(io.BytesIO(data), formats=formats)
    except PIL.Image.DecompressionBombError as error:
        most = in_megapixels(most_pixels)
        raise PhotoError("too_large", f"{name}: more than {most}; allowed are {most}") from error
    except Exception as error:  # Pillow's readers raise whatever their parsing meets: struct.error, KeyError, EOFError
        kind = what_it_is(data)
        said = f": it is {kind}" if kind else ""
        raise PhotoError("not_an_image", f"{name}: not an image that can be read{said}") from error
    if image.width * image.height > most_pixels:
        message = f"{name}: {image.width} x {image.height} px; allowed are {in_megapixels(most_pixels)}"
        raise PhotoError("too_large", message)
    return image


def in_megapixels(count: int) -> str:
    return f"{count // 1_000_000} megapixels"


def _is_heif(data: bytes) -> bool:
    """Whether the brands that a file of the ISO base media kind names first are those of HEIC."""
    if data[4:8] != b"ftyp":
        return False
    brands = {data[place : place + 4] for place in (8, *range(16, min(int.from_bytes(data[:4], "big"), 128), 4))}
    return bool(brands & HEIF_BRANDS) and not brands & AVIF_BRANDS


@cache
def _heif_is_there() -> bool:
    """Whether HEIC can be read; Pillow is taught it the first time that such a file comes."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


@cache
def _hush_libtiff() -> None:
    """Take libtiff's own voice away: of each damaged line of a picture it would write one to the user's terminal."""
    try:
        library = ctypes.CDLL(PIL.Image.core.__file__)  # type: ignore[attr-defined]  # a look-up in it finds what it is linked with
        for name in ("TIFFSetWarningHandler", "TIFFSetErrorHandler"):
            function = getattr(library, name)
            function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_void_p
            function(None)
    except (OSError, AttributeError):  # linked into Pillow itself (Windows), or a Pillow without libtiff
        return


def rgb8(image: PIL.Image.Image, name: str) -> UInt8Image:
    try:
        image.load()
        image = _in_srgb(_upright(image))
        if image.mode in ("I", "F", *GREY_16_BIT_MODES):
            image = PIL.Image.fromarray(_grey8(image))
        if image.mode == "La":
            image = image.convert("LA")
        if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
            layer = image.convert("RGBA")
            image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", layer.size, "white"), layer)
        return np.array(image.convert("RGB"))  # a copy of its own, writable
    except Exception as error:  # as in _open: a damaged file makes Pillow raise almost anything
        raise PhotoError("truncated", f"{name}: the image is damaged or cut short") from error


def _upright(image: PIL.Image.Image) -> PIL.Image.Image:
    try:
        return PIL.ImageOps.exif_transpose(image)
    except Exception:  # unreadable EXIF says nothing of the pixels: the photo is used as it lies
        return image


def _in_srgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """Colours as sRGB has them, where the file brings a profile of others: Display P3 of phones, Adobe RGB, inks."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK"):
        return image
    try:
        from PIL import ImageCms as Cms

        own = Cms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in Cms.getProfileDescription(own).lower():
            return image
        inks = image.convert("RGB") if image.mode == "RGBA" else image
        found = Cms.profileToProfile(inks, own, Cms.createProfile("sRGB"), outputMode="RGB")
        assert found is not None
        if image.mode == "RGBA":
            found.putalpha(image.getchannel("A"))
        return found
    except Exception:  # a profile that cannot be read says nothing of the pixels
        return image


def _grey8(image: PIL.Image.Image) -> UInt8Image:
    """H W uint8 of a 16-bit, 32-bit or float grey image; where the mode does not say its range, its maximum does."""
    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    if image.mode in GREY_16_BIT_MODES:
        scale = 65535.0
    else:
        scale = next((top for top in (1.0, 255.0) if values.max() <= top), 65535.0)
    return (np.clip(values / scale, 0, 1) * 255 + 0.5).astype(np.uint8)


def _remark(image: PIL.Image.Image, kind: str, data: bytes) -> str:
    """What a file holds beside the photo that was read."""
    try:
        more = bool(getattr(image, "is_animated", False))
    except Exception:  # of a damaged second frame; the first is whole
        more = False
    if more and kind in ANIMATIONS:
        return "an animation: its first frame is read"
    if more and not (kind == "MPO" and GAIN_MAP.search(data)):
        return "several pictures in one file: the first is read"
    return "a motion photo: its film is left out" if FILM.search(data) else ""


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(name, content, the chunk as it stands) of each chunk of a PNG, up to its end or to where it is cut."""
    place = len(PNG_START)
    while place + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        whole = data[place : place + 12 + length]
        yield name, whole[8 : 8 + length], whole
        if name == b"IEND":
            return
        place += 12 + length


def _is_sound(chunk: bytes) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def _pixels_alone(data: bytes) -> bytes:
    """A PNG without what is no pixel: text, profiles, times. Its EXIF stays where it is whole (it says what is up)."""
    kept = (
        whole for name, _, whole in _png_chunks(data) if name in PIXEL_CHUNKS or (name == b"eXIf" and _is_sound(whole))
    )
    return PNG_START + b"".join(kept)


def png_texts(data: bytes) -> dict[str, str]:
    """The text chunks of a PNG: keyword -> text; but for damaged ones and what goes beyond ``MOST_TEXT_BYTES``."""
    texts: dict[str, str] = {}
    left = MOST_TEXT_BYTES
    for name, content, whole in _png_chunks(data) if data.startswith(PNG_START) else ():
        if name not in (b"tEXt", b"zTXt", b"iTXt") or not _is_sound(whole):
            continue
        key, _, rest = content.partition(b"\0")
        packed = name == b"zTXt" or (name == b"iTXt" and rest[:1] == b"\1")
        if name == b"iTXt":
            rest = rest[2:].split(b"\0", 2)[-1]  # language and translated keyword come first
        elif packed:
            rest = rest[1:]
        text = _unpacked(rest, left) if packed else rest
        if text is None or len(text) > left:
            continue
        left -= len(text)
        texts[key.decode("latin-1")] = text.decode("utf-8" if name == b"iTXt" else "latin-1", errors="replace")
    return texts


def _unpacked(data: bytes, most: int) -> bytes | None:
    unpack = zlib.decompressobj()
    try:
        text = unpack.decompress(data, most + 1)
    except zlib.error:
        return None
    return text if unpack.eof else None
