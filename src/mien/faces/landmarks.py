"""The 468-point face mesh of MediaPipe: detections -> faces (Kartynnik et al. 2019, https://arxiv.org/abs/1907.06724).

A face is shown to the network as a square of 1.5 x the longer side of its box, turned so that the eyes are level. The
first square comes from the detector's box and eyes, the second from the mesh's own points: running twice cuts the
jitter of the rotation to a third. Beyond the photo's edge its last pixels are repeated, as MediaPipe does.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.core import checkpoints, images
from mien.core.memory import keep_freed_memory
from mien.core.records import Detection, Face, UInt8Image
from mien.faces import align
from mien.pretrained.tflite_graph import TFLiteGraph

INPUT_PX = 192
POINTS = 468
ROI_SCALE = 1.5  # side of the square, of the longer side of the box
BATCH = 8  # what fits the cache of one core best
POINTS_OUTPUT, PRESENCE_OUTPUT = "conv2d_21", "conv2d_31"

# The 68 iBUG points among the 468, in their order: jaw 17, brows 5 + 5, nose 4 + 5, eyes 6 + 6, lips 12 + 8.
# Checked by eye; nearer to the iBUG annotation at the ends of jaw and brows and at the nostrils than the popular list.
IBUG_68 = (
    *(127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356),
    *(70, 63, 105, 66, 107),
    *(336, 296, 334, 293, 300),
    *(168, 197, 5, 4),
    *(98, 97, 2, 326, 327),
    *(33, 160, 158, 133, 153, 144),
    *(362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)


class FaceMesh(TFLiteGraph):
    """The network: N 3 192 192 in [0, 1] -> 468 x (x, y, z) in its pixels and a presence logit."""


def load_mesh(device: str | torch.device = "cpu") -> FaceMesh:
    """The face mesh that travels with mien."""
    keep_freed_memory()
    tensors, metadata = checkpoints.load_weights(
        checkpoints.WEIGHTS / "face-mesh.safetensors", model="face-mesh", dtype=None
    )
    return FaceMesh(tensors, metadata.get("graph", {})).to(device).eval()


def mesh_points(mesh: FaceMesh, crops: Tensor) -> Tensor:
    """Crops (N 3 192 192, -1 to 1, face upright and filling two thirds) -> points (N 468 3). Differentiable.

    x and y are pixels of the crop by mien's convention ((0, 0) the centre of the top left pixel), z the same unit,
    nearer is negative. Runs in float32 even under autocast: bfloat16 moves the points by up to 0.7 px.
    """
    return _run(mesh, crops)[0]


def _run(mesh: FaceMesh, crops: Tensor) -> tuple[Tensor, Tensor]:
    """(points N 468 3 as ``mesh_points``, presence N as probability)."""
    out = mesh(images.to_unit(crops.float() if crops.dtype in (torch.bfloat16, torch.float16) else crops))
    points = out[POINTS_OUTPUT].reshape(-1, POINTS, 3)
    # The network counts from the top left corner of the image; mien from the centre of its first pixel.
    return points - points.new_tensor([0.5, 0.5, 0.0]), out[PRESENCE_OUTPUT].reshape(-1).sigmoid()


def locate(
    mesh: FaceMesh, photos: Sequence[UInt8Image], detections: Sequence[Sequence[Detection]], *, runs: int = 2
) -> list[list[Face]]:
    """The mesh of every detection, in photo pixels; the lists match ``detections`` in length and order."""
    owners = [(photo, found) for photo, list_ in zip(photos, detections, strict=True) for found in list_]
    transforms = [_roi_of_detection(found) for _, found in owners]
    meshes: list[npt.NDArray[np.float64]] = []
    presence: npt.NDArray[np.float32] = np.zeros(0, np.float32)
    for _ in range(runs):
        if meshes:
            transforms = [_roi_of_mesh(points) for points in meshes]
        meshes, presence = _measure(mesh, [photo for photo, _ in owners], transforms)
    faces = iter(
        Face(found, points.astype(np.float32), float(p))
        for (_, found), points, p in zip(owners, meshes, presence, strict=True)
    )
    return [[next(faces) for _ in list_] for list_ in detections]


def _measure(
    mesh: FaceMesh, photos: Sequence[UInt8Image], transforms: Sequence[align.Float64Array]
) -> tuple[list[npt.NDArray[np.float64]], npt.NDArray[np.float32]]:
    """One run of the network over many squares: points (468 3) in photo pixels, and presence."""
    if not photos:
        return [], np.zeros(0, np.float32)
    meshes, presences = [], []
    device = next(mesh.buffers()).device
    for start in range(0, len(photos), BATCH):
        chunk = slice(start, start + BATCH)
        crops = [
            align.warp(photo, transform, INPUT_PX, border=cv2.BORDER_REPLICATE)
            for photo, transform in zip(photos[chunk], transforms[chunk], strict=True)
        ]
        shown = np.stack(crops if len(crops) > 1 else crops * 2)  # alone, a face takes another code path and rounding
        with torch.inference_mode():
            points, presence = _run(mesh, images.to_tensor(shown).to(device))
        points, presence = points[: len(crops)], presence[: len(crops)]
        presences.append(presence.cpu().numpy())
        for values, transform in zip(points.cpu().numpy().astype(np.float64), transforms[chunk], strict=True):
            back = align.invert(transform)
            depth = values[:, 2:] * np.hypot(*back[:, 0])
            meshes.append(np.concatenate([align.apply(back, values), depth], 1))
    return meshes, np.concatenate(presences)


def _roi_of_detection(found: Detection) -> align.Float64Array:
    """The first square: around the box, turned by the two eyes."""
    side = ROI_SCALE * max(found.box.width, found.box.height)
    left, right = found.keypoints[:2].astype(np.float64)
    return _square(np.array(found.box.centre), side, right - left)


def _roi_of_mesh(points: npt.NDArray[np.float64]) -> align.Float64Array:
    """The next square: around the points' box in the frame in which the eyes are level."""
    along = points[align.EYE_RIGHT_OUTER, :2] - points[align.EYE_LEFT_OUTER, :2]
    turn = _rotation(along)
    turned = points[:, :2] @ turn.T
    low, high = turned.min(0), turned.max(0)
    return _square(turn.T @ ((low + high) / 2), ROI_SCALE * float((high - low).max()), along)


def _rotation(along: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The 2 x 2 rotation that makes ``along`` point to the right."""
    length = max(float(np.hypot(*along)), 1e-9)
    cos, sin = along / length if length > 1e-9 else (1.0, 0.0)
    return np.array([[cos, sin], [-sin, cos]])


def _square(centre: npt.NDArray[np.float64], side: float, along: npt.NDArray[np.float64]) -> align.Float64Array:
    """Photo px -> px of the network's input, for a square about ``centre`` turned to level ``along``."""
    matrix = _rotation(along) * (INPUT_PX / max(side, 1e-3))
    return np.column_stack([matrix, np.full(2, INPUT_PX / 2 - 0.5) - matrix @ centre])
