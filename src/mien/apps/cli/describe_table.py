"""A description on the terminal: for each face a sentence, its measures, and the 73 attributes in sections.

Figures are percent; a star marks what counts as present.
"""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mien.core.foreign import escaped
from mien.pipelines.describe_words import (
    MEANING,
    WHAT_ETHNICITY_IS,
    WHY_NO_ETHNICITY,
    Entry,
    FaceDescription,
    PhotoDescription,
    counted,
    sections,
)

LIKELY, UNLIKELY = "bold", "dim"
UNLIKELY_BELOW = 0.2
TITLE_WIDTH, MARGIN, LEAST_WIDTH = 12, 9, 30  # columns of the terminal


def print_description(name: str, described: PhotoDescription, console: Console | None = None) -> None:
    """Print one photo; its name as ``foreign.escaped``."""
    console = console or Console(highlight=False, soft_wrap=False)
    heading = f"{escaped(name)}  {described.width_px} x {described.height_px} px: {counted(described.faces)}"
    if described.too_small:
        heading += f", {len(described.too_small)} too small to be described"
    console.print(Text(heading, style="bold"), soft_wrap=True)
    for number, face in enumerate(described.faces, 1):
        console.print(Padding(_face(number, face, console.width), (0, 0, 1, 2)))


def print_notes(with_ethnicity: bool, console: Console | None = None) -> None:
    """What the figures are, and why ethnicity is left out; once, below everything."""
    figures = (
        "Figures are percent; * counts as present. They say how a face looks to a network on one photo, and it errs."
    )
    origin = WHAT_ETHNICITY_IS if with_ethnicity else WHY_NO_ETHNICITY
    (console or Console(highlight=False)).print(Text(f"{figures}\n{origin}", style=UNLIKELY))


def _face(number: int, face: FaceDescription, width: int) -> RenderableType:
    lines: list[RenderableType] = [
        Text.assemble((f"{number}  ", "bold cyan"), (face.sentence, "bold")),
        Text(f"   {measures(face)}"),
    ]
    lines += [Text(f"   seen poorly, {word}: {MEANING[word]}", style="yellow") for word in face.remarks]
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True, width=TITLE_WIDTH)
    table.add_column(no_wrap=True)
    for title, groups in sections(face.attributes, face.present, face.groups):
        table.add_row(title, _groups(groups, max(width - TITLE_WIDTH - MARGIN, LEAST_WIDTH)))
    return Group(*lines, Padding(table, (0, 0, 0, 3)))


def measures(face: FaceDescription) -> str:
    """``female 97 %, age 34, face 196 px, sharpness 0.52, yaw -17, pitch 3, roll -2 degrees``."""
    head = face.pose
    angles = (
        f"yaw {round(head.yaw_degrees)}, pitch {round(head.pitch_degrees)}, roll {round(head.roll_degrees)} degrees"
    )
    seen = f"face {face.quality.size_px:.0f} px, sharpness {face.quality.sharpness:.2f}"
    return f"{face.sex_words}, age {face.age_years:.0f}, {seen}, {angles}"


def _groups(groups: list[list[Entry]], width: int) -> Text:
    """``Brown Hair 71*  Black Hair 20 | Wavy Hair 60*`` in lines of at most ``width``; figures in percent.

    What counts as present has a star and is bold, what is unlikely is dim; a name and its figure stay together.
    """
    words, used = Text(), 0
    for place, group in enumerate(groups):
        for number, entry in enumerate(group):
            style = LIKELY if entry.present else UNLIKELY if entry.probability < UNLIKELY_BELOW else ""
            text = f"{entry.name} {entry.probability * 100:.0f}{'*' if entry.present else ''}"
            before = "  " if number else " | " if place else ""
            if used and used + len(before) + len(text) > width:
                words.append("\n")
                before, used = before.lstrip() if "|" in before else "", 0
            words.append(before, style=UNLIKELY)
            words.append(text, style=style)
            used += len(before) + len(text)
    return words
