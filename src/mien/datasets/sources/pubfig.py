"""PubFig: public figures as a list of links, ``dev_urls.txt`` and ``eval_urls.txt`` (v1.2).

Each row has person, image number, link, rectangle of the face ``x0,y0,x1,y1`` and the MD5 of the file, separated by
tabs. ``fetch`` brings the photos into ``SOURCE_DIR/images`` (``download``); ``rows`` yields every row with the
rectangle as its box, and those that cannot be had with the reason. As the attributes paper says of its own copy: "The
missing images include those that do not exist at the given links, those that have changed and a few that had
incorrect bounding boxes" (section 4): ``gone``, ``changed`` and ``bad_box``.

``pubfig_attributes.txt`` (signed scores; ``kumar``) gives the 73 attributes, where it is there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mien.core.errors import PhotoError, SourceError
from mien.core.formats import SUFFIXES
from mien.core.progress import OnProgress
from mien.core.records import Box, SourcePhoto
from mien.datasets.download import Download, Journal, Outcome, RateLimits, download
from mien.datasets.reasons import REASONS, Reason
from mien.datasets.sources.contract import Source
from mien.datasets.sources.kumar import labels_of, read_scores, score_key
from mien.datasets.sources.listing import existing_directory, in_order, label_file, read_lines

LOOKED_FOR = "dev_urls.txt or eval_urls.txt with tab separated person, imagenum, url, rect, md5sum (PubFig)"
LISTS = ("dev_urls.txt", "eval_urls.txt")
JOURNAL = "images/downloads.jsonl"
MIN_INSIDE = 0.75  # share of a rectangle that must lie in its photo

_MD5 = re.compile(r"[0-9a-fA-F]{32}")
_NUMBER = re.compile(r"-?\d{1,6}")


@dataclass(frozen=True, slots=True)
class Link:
    """One row of a list."""

    key: str  # where its photo goes, relative to SOURCE_DIR
    person: str
    number: str
    url: str
    md5: str
    box: Box | None
    reason: Reason | None


def rows(source_dir: Path, labels: Path | None = None) -> Iterator[SourcePhoto]:
    """Every row of the lists; see ``contract.Rows``. Not on disk: the reason of the last ``fetch``.

    ``labels`` is a ``pubfig_attributes.txt`` that lies elsewhere.
    """
    links = read_lists(source_dir)
    scores = label_file(labels, [source_dir / "pubfig_attributes.txt"])
    table = {} if scores is None else read_scores(scores, read_lines(scores))
    journal = Journal(source_dir / JOURNAL).read()
    photos: list[SourcePhoto] = []
    for link in links:
        row = table.get(score_key(link.person, link.number))
        reason: str | None = link.reason or (row.reason if row is not None else None)
        path = source_dir / link.key
        if reason is None and not path.is_file():
            found = journal.get(link.key)
            reason = (found.outcome if found is not None else None) or "not_downloaded"
        person = link.person or None
        photos.append(SourcePhoto(link.key, str(path), labels_of(row, person), link.box, reason))
    return in_order(photos)


def fetch(
    source_dir: Path, *, concurrency: int = 16, progress: OnProgress | None = None, limits: RateLimits | None = None
) -> Mapping[str, int]:
    """Bring the photos of the lists into ``SOURCE_DIR/images``; can be killed and called again.

    Returns how many rows ended how: ``kept``, or a word of ``reasons``; the numbers add up to the rows.
    """
    links = read_lists(source_dir)
    boxes = {link.key: link.box for link in links}

    def check(item: Download, data: bytes) -> Outcome:
        return check_photo(data, boxes[item.key])

    downloads = [Download(link.key, link.url, source_dir / link.key, link.md5) for link in links if link.reason is None]
    outcomes = download(
        downloads,
        Journal(source_dir / JOURNAL),
        limits=limits or RateLimits(concurrency=concurrency),
        check=check,
        progress=progress,
    )
    ended = [link.reason or outcomes[link.key] or "kept" for link in links]
    return dict(sorted(Counter[str](ended).items()))


def read_lists(source_dir: Path) -> list[Link]:
    """The rows of both lists with unique keys, unreadable ones with their reason."""
    existing_directory(source_dir, LOOKED_FOR)
    files = [source_dir / name for name in LISTS if (source_dir / name).is_file()]
    links = [
        _link(line, f"{path.name}#{number}")
        for path in files
        for number, line in enumerate(read_lines(path), 1)
        if line.strip() and not line.startswith("#")
    ]
    if all(link.reason == "bad_label_row" for link in links):
        raise SourceError(f"{source_dir}: not PubFig: looked for {LOOKED_FOR}")
    times: Counter[str] = Counter()
    unique: list[Link] = []
    for link in links:
        times[link.key] += 1
        unique.append(link if times[link.key] == 1 else replace(link, key=_numbered(link.key, times[link.key])))
    return unique


def _numbered(key: str, number: int) -> str:
    """``images/A/A_0001.jpg``, 2 -> ``images/A/A_0001#2.jpg``: a second row must not share the first one's file."""
    path = PurePosixPath(key)
    return str(path.with_name(f"{path.stem}#{number}{path.suffix}"))


def _link(line: str, where: str) -> Link:
    cells = [cell.strip() for cell in line.split("\t")]
    person = " ".join(cells[0].split())
    plain = len(cells) == 5 and person and cells[1].isdecimal() and _MD5.fullmatch(cells[4])
    if not plain or not cells[2].startswith(("http://", "https://")):
        return Link(where, person, "", "", "", None, "bad_label_row")
    _, number, url, rectangle, md5 = cells
    box = read_rectangle(rectangle)
    directory = re.sub(r"[^\w.'-]+", "_", person).strip(".") or "_"
    name = f"{directory}_{int(number):04d}{_suffix(url)}"
    return Link(f"images/{directory}/{name}", person, number, url, md5.lower(), box, None if box else "bad_box")


def _suffix(url: str) -> str:
    suffix = PurePosixPath(url.partition("?")[0].partition("#")[0]).suffix.lower()
    return suffix if suffix in SUFFIXES else ".jpg"


def read_rectangle(text: str) -> Box | None:
    """``x0,y0,x1,y1`` in pixels -> a box, or None where it is no rectangle."""
    numbers = text.split(",")
    if len(numbers) != 4 or not all(_NUMBER.fullmatch(number.strip()) for number in numbers):
        return None
    x0, y0, x1, y1 = (float(number) for number in numbers)
    return Box(x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def check_photo(data: bytes, box: Box | None) -> Outcome:
    """Why a downloaded photo cannot be used: it does not decode, or its rectangle lies outside."""
    from mien.core.photos import decode_photo

    try:
        height, width = decode_photo(data).shape[:2]
    except PhotoError as error:
        return next((reason for reason in REASONS if reason == error.reason), "not_an_image")
    return "bad_box" if box is None or share_inside(box, width, height) < MIN_INSIDE else None


def share_inside(box: Box, width: int, height: int) -> float:
    """The share of a box's area that lies in a photo of ``width`` x ``height`` px, 0 to 1."""
    inside_x = min(box.x1, width) - max(box.x0, 0)
    inside_y = min(box.y1, height) - max(box.y0, 0)
    return max(inside_x, 0) * max(inside_y, 0) / (box.width * box.height)


SOURCE = Source(
    name="pubfig",
    licence="PubFig: the list of links is for non-commercial research; the photographs belong to their owners",
    rows=rows,
    false_is_absent=False,
    fetch=fetch,
)
