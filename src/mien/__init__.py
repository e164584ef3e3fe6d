"""mien makes faces.

```python
import mien

mien.load("crowd").sample(count=8, sex="female", age=(20, 35), seed=1)[0].image
mien.load("imagine").sample("smiling, woman, brown hair", 4, seed=1)[0].image
mien.load("portrait").make("photo.jpg")[0].on((255, 255, 255))
mien.load("describe").describe("photo.jpg").faces[0].sentence
```

Importing it is silent and loads no torch: what is heavy is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mien import errors
from mien.core.version import __version__
from mien.pipelines.load import load

if TYPE_CHECKING:
    from mien.pipelines.results import (
        Box,
        Face,
        FaceDescription,
        Imagined,
        Labels,
        MadeFace,
        PhotoDescription,
        Portrait,
        Pose,
    )

__all__ = [
    "Box",
    "Face",
    "FaceDescription",
    "Imagined",
    "Labels",
    "MadeFace",
    "PhotoDescription",
    "Portrait",
    "Pose",
    "__version__",
    "errors",
    "load",
]


def __getattr__(name: str) -> Any:
    """The record ``name`` of a result, imported when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'mien' has no attribute '{name}'")
    from mien.pipelines import results

    return getattr(results, name)


def __dir__() -> list[str]:
    """What a user of ``mien`` finds by completion: the public names."""
    return __all__
