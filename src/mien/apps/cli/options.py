"""Options that several commands share, each worded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Credentials = Annotated[
    Path | None,
    typer.Option("--credentials", help="Directory with certificate.pem and key.pem that sign the pictures."),
]
Unmarked = Annotated[
    bool, typer.Option("--unmarked", help="No watermark and no content credentials; the manifest says so.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite faces that lie in OUT.")]
