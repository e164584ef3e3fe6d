"""One door for every picture that leaves mien: watermark, text chunks, content credentials, in that order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from mien.core.files import write_bytes
from mien.core.images import encode_png
from mien.core.records import UInt8Image
from mien.provenance import watermark
from mien.provenance.certificate import credential
from mien.provenance.credentials import Signer

WATERMARK, CREDENTIALS = "watermark", "credentials"


@dataclass(frozen=True, slots=True)
class Marks:
    """Which marks pictures get: both, or none by the user's wish."""

    signer: Signer | None

    @classmethod
    def load(cls, wanted: bool = True, credentials: str | os.PathLike[str] | None = None) -> Self:
        """Both marks, signed with the credential of a folder (default: ``certificate.credential``); or no marks.

        ``RequestError`` for a folder that holds no credential, or one that cannot sign.
        """
        return cls(Signer(credential(credentials)) if wanted else None)

    @property
    def names(self) -> list[str]:
        """For the manifest: ``["watermark", "credentials"]`` or ``[]``."""
        return [WATERMARK, CREDENTIALS] if self.signer else []

    def png(self, photo: UInt8Image, about: Mapping[str, str], *, title: str, model: str, model_version: str) -> bytes:
        """PNG bytes of a photo (H W 3 uint8 RGB, or H W 4 with opacity) with marks and the text chunks ``about``."""
        if self.signer is None:
            return encode_png(photo, about)
        visible = watermark.mark(np.ascontiguousarray(photo[..., :3]))
        data = encode_png(np.dstack([visible, photo[..., 3:]]), about)
        watermarked = min(photo.shape[:2]) >= watermark.LEAST_PX
        return self.signer.sign(data, title=title, model=model, model_version=model_version, watermarked=watermarked)

    def write_png(
        self,
        path: str | os.PathLike[str],
        photo: UInt8Image,
        about: Mapping[str, str],
        *,
        model: str,
        model_version: str,
    ) -> None:
        """Write that PNG atomically."""
        data = self.png(photo, about, title=Path(path).name, model=model, model_version=model_version)
        write_bytes(path, data)
