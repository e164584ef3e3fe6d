"""Networks that cannot be fetched from a package index: the user brings the file, ``mien models add`` converts it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.errors import RequestError
from mien.pretrained.integrity import sha256_of

if TYPE_CHECKING:
    from torch import Tensor

COLOURS = ("auto", "rgb", "bgr")

# (file, colours) -> (tensors, further metadata)
Reader = Callable[[Path, str], "tuple[dict[str, Tensor], dict[str, Any]]"]


@dataclass(frozen=True, slots=True)
class LocalModel:
    """One network that people have as a file. Nothing is pinned: the same weights go about in several forms.

    ``reader`` is ``module:function`` of ``Reader``, imported when it is needed; it refuses a file of another network.
    """

    name: str
    what: str
    where: str  # the place to get it, as one would tell a person
    forms: tuple[str, ...]  # files that are read
    licence: str
    author: str
    version: str
    reader: str
    revision: int = 1  # counts up when the converted form changes

    @property
    def how(self) -> str:
        """What to do to have it, in one line."""
        return f"get {self.forms[0]} from {self.where} and run: mien models add {self.name} FILE"


LOCAL_MODELS: tuple[LocalModel, ...] = (
    LocalModel(
        name="vgg-face",
        what="face encoder: VGG-Face, 16 layers, 2,622 people",
        where="https://www.robots.ox.ac.uk/~vgg/software/vgg_face/ (vgg_face_matconvnet.tar.gz)",
        forms=(
            "vgg_face.mat (MatConvNet)",
            "vgg_face_dag.pth or another PyTorch state dict",
            "the same as safetensors",
        ),
        licence="non-commercial",  # "for non-commercial research purposes"; whoever gets the file reads its terms
        author="Parkhi, Vedaldi, Zisserman (VGG, Oxford)",
        version="2015",
        reader="mien.pretrained.vggface_files:read",
    ),
)


def find_local(name: str) -> LocalModel | None:
    """The network of ``LOCAL_MODELS`` that is called ``name``, or None."""
    return next((model for model in LOCAL_MODELS if model.name == name), None)


def convert_local(model: LocalModel, file: Path, target: Path, *, colours: str = "auto") -> None:
    """Read ``file``, and write it to ``target`` as safetensors in float32 with its origin inside.

    Raises ``RequestError`` for unknown ``colours`` and ``WeightsError`` in one line for a file that is not ``model``.
    """
    from mien.core.checkpoints import save_weights

    if colours not in COLOURS:
        raise RequestError(f"--colours: '{colours}' is unknown; allowed: {', '.join(COLOURS)}")
    module, _, function = model.reader.partition(":")
    reader: Reader = getattr(importlib.import_module(module), function)
    tensors, further = reader(file, colours)
    metadata = {
        "model": model.name,
        "version": f"{model.version}-r{model.revision}",
        "source": file.name,
        "sha256": sha256_of(file),
        "licence": model.licence,
        "author": model.author,
        **further,
    }
    save_weights(target, tensors, metadata)
