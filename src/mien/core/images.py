"""The only owner of pixel conventions (docs/conventions.md).

Two forms of an image exist in mien:

- *photo*: ``uint8`` numpy, H W 3, RGB, 0 to 255, row 0 at the top;
- *tensor*: ``float32`` torch, N 3 H W, RGB, -1 to 1 (``value / 127.5 - 1``).

Networks that want another range get it from the functions here.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.PngImagePlugin

from mien.core.errors import PhotoError, RequestError
from mien.core.files import write_bytes
from mien.core.records import Float32Array, UInt8Image

if TYPE_CHECKING:
    import torch

JPEG_QUALITY = 95
VGGFACE_MEAN = (129.1863, 104.7624, 93.5940)  # RGB, 0 to 255: the mean colour that VGG-Face's authors give


def is_grey(photo: UInt8Image, *, tolerance: int = 8) -> bool:
    """Whether a photo's channels are nowhere more than ``tolerance`` (of 255) apart, seen at 32 x 32 px."""
    pixels = resize(photo, 32, 32).astype(np.int16)
    return bool((pixels.max(2) - pixels.min(2)).max() <= tolerance)


def resize(photo: UInt8Image, height: int, width: int) -> UInt8Image:
    """Resize a photo; area average when it shrinks, bicubic when it grows."""
    return np.asarray(_resized(photo, height, width), np.uint8)


def _resized(pixels: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
    smaller = height * width < pixels.shape[0] * pixels.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=method))


def resize_tensor(pictures: torch.Tensor, side: int) -> torch.Tensor:
    """Pictures (N 3 S S, -1 to 1) as ``resize`` makes photos, not rounded: N 3 ``side`` ``side``."""
    if pictures.shape[-1] == side:
        return pictures
    return from_values(np.stack([_resized(values, side, side) for values in to_values(pictures)]))


def in_crop(photo: UInt8Image, frame: tuple[float, float, float], size: int) -> UInt8Image:
    """A photo that shows only a square of mien's aligned crop -> the whole crop (size size 3), mirrored around it.

    ``frame`` is (left, top, side) of the square in shares of the crop's side; (0, 0, 1) is the whole crop.
    """
    left, top, side = (round(share * size) for share in frame)
    inside = photo if photo.shape[:2] == (side, side) else resize(photo, side, side)
    if side == size:
        return inside
    below, right = size - top - side, size - left - side
    return np.asarray(cv2.copyMakeBorder(inside, top, below, left, right, cv2.BORDER_REFLECT_101), np.uint8)


def grey(photo: UInt8Image) -> UInt8Image:
    """H W uint8 luma of a photo (Rec. 601)."""
    return np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), np.uint8)


def encode_jpeg(photo: UInt8Image, quality: int = JPEG_QUALITY) -> bytes:
    """JPEG bytes of a photo, 4:4:4, the same bytes for the same pixels."""
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise PhotoError("not_an_image", f"a photo of shape {photo.shape} cannot be written as JPEG")
    return data.tobytes()


def decode_crop(data: bytes, size: int | None = None) -> UInt8Image:
    """Decode a JPEG that mien wrote itself (fast path: no orientation, no bombs); area-resized to ``size`` if given."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise PhotoError("truncated", "a crop in a shard is damaged")
    photo = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
    return photo if size is None or photo.shape[:2] == (size, size) else resize(photo, size, size)


def decode_by_libtiff(data: bytes) -> UInt8Image | None:
    """The pixels of a TIFF as libtiff reads them, without a word on the terminal; ``None``: it is damaged."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)
    return None if found is None else np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)


def encode_png(photo: UInt8Image, metadata: Mapping[str, str] | None = None) -> bytes:
    """PNG bytes of a photo with text chunks ``metadata``, the same bytes for the same pixels."""
    info = PIL.PngImagePlugin.PngInfo()
    for key, value in (metadata or {}).items():
        info.add_text(key, value)
    buffer = io.BytesIO()
    # Run lengths alone: photographs hardly repeat, so looking for repetition costs time and even space.
    PIL.Image.fromarray(photo).save(buffer, "PNG", pnginfo=info, compress_level=1, compress_type=zlib.Z_RLE)
    return buffer.getvalue()


def write_png(path: str | os.PathLike[str], photo: UInt8Image, metadata: Mapping[str, str] | None = None) -> None:
    """Write a photo as PNG with text chunks ``metadata``, to a temporary name first and then renamed."""
    write_bytes(path, encode_png(photo, metadata))


def sheet(photos: list[UInt8Image], columns: int, gap: int = 2) -> UInt8Image:
    """Lay photos of one size out on white, row by row, ``columns`` wide, ``gap`` pixels apart.

    Raises ``RequestError`` for no photos, no columns, or photos of several sizes.
    """
    sizes = {photo.shape[:2] for photo in photos}
    if len(sizes) != 1 or columns < 1:
        given = f"{len(photos)} photos of {len(sizes)} sizes, {columns} columns"
        raise RequestError(f"a sheet needs photos of one size and at least one column; given {given}")
    height, width = photos[0].shape[:2]
    rows = -(-len(photos) // columns)
    page = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    for index, photo in enumerate(photos):
        top = gap + index // columns * (height + gap)
        left = gap + index % columns * (width + gap)
        page[top : top + height, left : left + width] = photo
    return page


def caption(text: str, width: int, height: int) -> UInt8Image:
    """A white strip (height width 3) with a line of dark text in its middle, smaller where it would not fit."""
    strip = np.full((height, width, 3), 255, np.uint8)
    scale = height / 36
    (across, up), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    if across > width - 4:
        scale *= (width - 4) / across
        (across, up), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    at = ((width - across) // 2, (height + up) // 2)
    cv2.putText(strip, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (40, 40, 40), 1, cv2.LINE_AA)
    return strip


def to_tensor(photos: UInt8Image | torch.Tensor) -> torch.Tensor:
    """Photos (N H W 3 or H W 3 uint8; NumPy, or torch on any device) -> N 3 H W float32, -1 to 1, on that device.

    In memory the channels come last.
    """
    import torch

    if not isinstance(photos, np.ndarray | torch.Tensor):
        raise RequestError(f"photos: {type(photos).__name__} given; wanted: an array N H W 3 or H W 3, uint8")
    if photos.dtype not in (np.uint8, torch.uint8) or photos.ndim not in (3, 4) or photos.shape[-1] != 3:
        raise RequestError(f"photos of shape {tuple(photos.shape)}, {photos.dtype}; wanted N H W 3 or H W 3, uint8")
    if not isinstance(photos, torch.Tensor):
        photos = torch.from_numpy(np.require(photos, requirements=["C", "W"]))
    batch = photos.contiguous()
    batch = batch if batch.ndim == 4 else batch[None]
    return batch.permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1)  # N 3 H W


def to_values(tensor: torch.Tensor) -> Float32Array:
    """Tensor (N 3 H W, -1 to 1, clipped) -> N H W 3 float32, 0 to 255: photos before they are rounded."""
    if tensor.ndim != 4 or tensor.shape[1] != 3 or not tensor.is_floating_point():
        raise RequestError(f"a tensor of shape {tuple(tensor.shape)}, {tensor.dtype}; wanted N 3 H W, floating")
    values = (tensor.detach().float().clamp(-1, 1) + 1) * 127.5
    return np.ascontiguousarray(values.permute(0, 2, 3, 1).cpu().numpy())


def from_values(values: Float32Array) -> torch.Tensor:
    """N H W 3 float32, 0 to 255 -> N 3 H W float32, -1 to 1: undoes ``to_values``."""
    import torch

    return torch.from_numpy(np.require(values, np.float32, ["C", "W"])).permute(0, 3, 1, 2) / 127.5 - 1


def to_photos(tensor: torch.Tensor) -> UInt8Image:
    """Tensor (N 3 H W, -1 to 1, clipped) -> photos (N H W 3 uint8), rounded to nearest."""
    return np.rint(to_values(tensor)).astype(np.uint8)


def to_unit(tensor: torch.Tensor) -> torch.Tensor:
    """Tensor in [-1, 1] -> [0, 1] (what the face mesh reads)."""
    return (tensor + 1) / 2


def from_unit(tensor: torch.Tensor) -> torch.Tensor:
    """Tensor in [0, 1] -> [-1, 1]: undoes ``to_unit``."""
    return tensor * 2 - 1


def to_facenet(tensor: torch.Tensor) -> torch.Tensor:
    """Tensor in [-1, 1] -> (value - 127.5) / 128 (what FaceNet reads)."""
    return tensor * (127.5 / 128)


def to_vggface(tensor: torch.Tensor) -> torch.Tensor:
    """Tensor in [-1, 1] -> value (0 to 255) minus ``VGGFACE_MEAN``, RGB (what VGG-Face reads)."""
    return (tensor + 1) * 127.5 - tensor.new_tensor(VGGFACE_MEAN)[:, None, None]


def bgr_filters_to_rgb(filters: torch.Tensor) -> torch.Tensor:
    """Filters O 3 H W of a first layer that reads BGR -> the same filters for RGB."""
    if filters.ndim != 4 or filters.shape[1] != 3:
        raise RequestError(f"filters of shape {tuple(filters.shape)}; wanted O 3 H W")
    return filters.flip(1)
