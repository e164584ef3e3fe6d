"""`mien data review`: the labels of a dataset, the most suspicious first, before people who know better."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.apps.cli.options import LOOPBACK, Host, Port, PublicAddress, needing
from mien.apps.cli.output import echo

DEFAULT_PORT = 8002
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--what",
        help="Label to check: sex, age, an attribute, or 'attributes': all. May be given again. (sex, age)",
        show_default=False,
    ),
]
StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Where decisions are kept: DEST/review.sqlite, or postgresql+psycopg://USER@HOST/DATABASE.",
        show_default=False,
    ),
]


def review(
    dest: Annotated[Path, typer.Argument(help="A dataset that 'mien data prepare' made.", show_default=False)],
    what: Labels = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the N most suspicious faces.", show_default=False)
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", help="Who reviews; the page asks if not given.", show_default=False),
    ] = None,
    store: StoreUrl = None,
    host: Host = LOOPBACK,
    port: Port = DEFAULT_PORT,
    address: PublicAddress = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys", help="File of hashed keys (mien serve --keys FILE --new-key NAME); then everybody needs one."
        ),
    ] = None,
) -> None:
    """Show faces with their labels in a browser, the most suspicious first; accept, correct or reject them by keys.

    Several people may review at once. Nothing in DEST is overwritten; training and evaluation honour what was said.
    """
    from mien.core.progress import progress_bars
    from mien.pipelines.data import require_dataset

    require_dataset(dest)
    from mien.apps.web.settings import ServiceSettings

    settings = ServiceSettings.make({"host": host, "port": port, "address": address, "keys": keys}, where="data review")
    settings.access_keys()  # refused before the pages are loaded
    with needing("review", "review"):
        from mien.apps.review.app import create_app
        from mien.apps.review.face_page import summary
        from mien.apps.web.server import serve_app
        from mien.pipelines.review import open_review
    with progress_bars() as on_stage:
        opened, answers = open_review(dest, labels=what or (), store=store, limit=limit, on_stage=on_stage)
    try:
        echo(summary(opened), err=True)
        app = create_app(opened, settings, by=by)
        serve_app(app, settings, ready=lambda address: echo(f"mien reviews {dest} at {address}"))
    finally:
        answers.close()
