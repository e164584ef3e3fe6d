"""A directory of made faces and their manifest: no face is left in it that the manifest does not name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.errors import RequestError
from mien.core.files import write_bytes
from mien.pipelines.pictures import COMMENT, MANIFEST, marked_row, png_of

if TYPE_CHECKING:
    from mien.core.records import UInt8Image
    from mien.provenance.marks import Marks

FACE_NAME = re.compile(r"\d{5,}\.png")


def refuse_to_overwrite(out: Path, force: bool) -> None:
    """``RequestError`` where OUT is a file, or holds faces and --force was not given."""
    if out.exists() and not out.is_dir():
        raise RequestError(f"--out: {out} is a file; a directory is wanted")
    if not force and out.is_dir() and any(out.glob("*.png")):
        raise RequestError(f"--out: {out} holds faces already; another directory or --force is wanted")


def forget_old(out: Path) -> None:
    """Remove the faces that an older manifest of OUT names, and the manifest: no face is left that it does not name."""
    try:
        rows = [json.loads(line) for line in (out / MANIFEST).read_text().splitlines()]
        names = [Path(str(row["file"])).name for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for name in [*(name for name in names if FACE_NAME.fullmatch(name)), MANIFEST]:
        (out / name).unlink(missing_ok=True)


def write_face(
    out: Path, image: UInt8Image, row: Mapping[str, Any], marks: Marks, comment: str = COMMENT
) -> dict[str, Any]:
    """Write OUT/<file of the row>, which says of itself what it is; returns its row of the manifest."""
    marked = marked_row(row, marks)
    write_bytes(out / marked["file"], png_of(image, marked, marks, comment))
    return marked
