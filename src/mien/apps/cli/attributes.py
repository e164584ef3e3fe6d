"""`mien attributes`: the 73 attributes, their 42 groups, and the words for them."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def attributes(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON: a list of groups.")] = False,
) -> None:
    """List the 73 attributes of a face in their 42 groups, with other words for them."""
    from mien.pipelines.vocabulary import vocabulary

    groups = vocabulary()
    if as_json:
        rows = [
            {
                "group": group.name,
                "none": group.none,
                "attributes": [
                    {"name": each.name, "words": each.words, "words_for_not": each.words_for_not}
                    for each in group.attributes
                ],
            }
            for group in groups
        ]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("group", "attribute", "other words", "words for not", "none of them")
    for group in groups:
        for number, each in enumerate(group.attributes):
            first, last = number == 0, number == len(group.attributes) - 1
            table.add_row(
                group.name if first else "",
                each.name,
                ", ".join(each.words),
                ", ".join(each.words_for_not),
                (group.none or "(label unknown)") if first else "",
                end_section=last,
            )
    console = Console()
    console.print(table)
    console.print(
        "A face has at most one attribute of a group. Capitals and hyphens do not matter; 'not', 'no' and 'without' "
        "deny; a strength is written smiling:0.8.",
        highlight=False,
    )


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("attributes")(attributes)
