"""The paper's measure of generated faces: does any of seven OpenCV cascades find a face? (Sanche, section 5)

As printed: seven cascade files, a hit of any of them counts, faces of 32 x 32 to 64 x 64 px, scale factor 1.1. The
paper's images are 64 x 64; larger ones are area-averaged to that. It does not print ``minNeighbors``: OpenCV's default
of 3 is fixed here, because the rate moves by 20 points with it. Six cascades travel with OpenCV 4, the seventh
(``lbpcascade_frontalface``) with this package, because the wheels of OpenCV leave it out.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mien.core.errors import WeightsError
from mien.core.images import grey, resize
from mien.core.records import UInt8Image
from mien.evaluation.statistics import Interval, proportion

SIDE = 64  # px
MIN_SIDE, MAX_SIDE = 32, 64  # px of a hit
SCALE_FACTOR = 1.1
MIN_NEIGHBOURS = 3
PROTOCOL = f"7cascades-any_{SIDE}px_hit{MIN_SIDE}-{MAX_SIDE}_scale{SCALE_FACTOR}_neighbours{MIN_NEIGHBOURS}"

# In the order of speed and yield: the first hit ends the search, so the order changes seconds and never the answer.
CASCADES = (
    "haarcascade_frontalface_alt2",
    "haarcascade_frontalface_default",
    "lbpcascade_frontalface",
    "haarcascade_frontalface_alt",
    "haarcascade_frontalface_alt_tree",
    "haarcascade_eye_tree_eyeglasses",
    "haarcascade_smile",
)


def load_cascades() -> dict[str, cv2.CascadeClassifier]:
    """The seven cascades by name. A cascade that OpenCV loads empty raises ``WeightsError``: it would find nothing."""
    if not hasattr(cv2, "CascadeClassifier"):
        raise WeightsError("OpenCV here has no CascadeClassifier; install opencv-python-headless<5")
    return {name: _load(name) for name in CASCADES}


def _load(name: str) -> cv2.CascadeClassifier:
    if name.startswith("haar"):
        path = Path(cv2.__file__).parent / "data" / f"{name}.xml"
        text = path.read_text() if path.is_file() else ""
    else:
        text = files("mien.evaluation").joinpath("assets", f"{name}.xml").read_text()
    return read_cascade(text, name)


def read_cascade(text: str, name: str) -> cv2.CascadeClassifier:
    """A cascade from the text of its XML file, or ``WeightsError`` naming it when nothing usable is in it."""
    cascade = cv2.CascadeClassifier()
    storage = cv2.FileStorage()
    # OpenCV reads a damaged cascade without a word, as an empty one; only the check afterwards tells.
    try:
        loaded = (
            bool(text)
            and storage.open(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
            and cascade.read(storage.getFirstTopLevelNode())
        )
    except cv2.error:
        loaded = False
    if not loaded or cascade.empty():
        raise WeightsError(f"{name}: this cascade is missing or cannot be read by OpenCV {cv2.__version__}")
    return cascade


def _finds(photo: UInt8Image, cascades: Sequence[cv2.CascadeClassifier]) -> bool:
    small = grey(photo if photo.shape[:2] == (SIDE, SIDE) else resize(photo, SIDE, SIDE))
    for cascade in cascades:
        hits = cascade.detectMultiScale(
            small,
            scaleFactor=SCALE_FACTOR,
            minNeighbors=MIN_NEIGHBOURS,
            minSize=(MIN_SIDE, MIN_SIDE),
            maxSize=(MAX_SIDE, MAX_SIDE),
        )
        if len(hits):
            return True
    return False


def detects(
    photos: UInt8Image | Sequence[UInt8Image],
    *,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> npt.NDArray[np.bool_]:
    """Whether any cascade finds a face in each photo (N H W 3 uint8, squares): N bool.

    ``workers`` threads (default: the processors of the machine) each own a set of cascades, which OpenCV runs outside
    Python's lock; ``progress`` is called with the number of photos done since the last call.
    """
    count = len(photos)
    found = np.zeros(count, bool)
    own = threading.local()

    def work(start: int, stop: int) -> int:
        if not hasattr(own, "cascades"):
            own.cascades = list(load_cascades().values())
        for index in range(start, stop):
            found[index] = _finds(photos[index], own.cascades)
        return stop - start

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # one photo is too small to share; photos are shared among the workers instead
    try:
        with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
            jobs = [pool.submit(work, start, min(start + 64, count)) for start in range(0, count, 64)]
            for job in jobs:
                done = job.result()
                if progress is not None:
                    progress(done)
    finally:
        cv2.setNumThreads(threads)
    return found


def detection_rate(
    photos: UInt8Image | Sequence[UInt8Image],
    *,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Interval:
    """The share of photos in which a face is found, with its 95 % interval. Needs one photo (``TooFewError``)."""
    found = detects(photos, workers=workers, progress=progress)
    return proportion(int(found.sum()), len(found))


def rate_name(n: int) -> str:
    """The metric's name with its protocol and n."""
    return f"detection_{PROTOCOL}_n{n}"
