"""From a dataset to a served review: judge its labels once, open the store, listen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mien.apps.review.app import create_app
from mien.apps.review.desk import Desk
from mien.apps.review.room import CONTRADICTED, DOUBTED, ReviewRoom
from mien.apps.web.server import serve_app
from mien.apps.web.settings import ServiceSettings
from mien.core.database import Store
from mien.core.progress import OnStage, silent
from mien.datasets.batches import FaceDataset
from mien.datasets.corrections import settle_place
from mien.evaluation.label_quality import chosen, suspicions
from mien.faces.encoder import Encoder, load_encoder


def open_room(
    dest: Path,
    *,
    what: Sequence[str] = (),
    store: str | None = None,
    limit: int | None = None,
    eyes: Callable[[], Encoder] | None = load_encoder,
    on_stage: OnStage = silent,
) -> tuple[ReviewRoom, Store]:
    """A dataset's review, ready to be served, and its open store.

    ``what`` and ``limit`` choose the labels and how many faces; ``eyes`` gives the encoder for heads of the dataset's
    own. ``RequestError`` for a label that is not there or another store than before; ``DatasetError``; ``StoreError``.
    """
    data = FaceDataset.open(dest, corrected=False)
    labels = chosen(data, what)
    place, opened = settle_place(dest, store)
    try:
        found = suspicions(data, labels, eyes, on_stage)
        order = found.order()[:limit]
        desk = Desk(opened, place.dataset, [data.faces[int(row)].id for row in order])
        desk.retire({face.id: face.sha256 for face in data.faces})
    except BaseException:
        opened.close()
        raise
    return ReviewRoom(data, found, desk, dest.resolve().name), opened


def summary(room: ReviewRoom) -> str:
    """One line: what is reviewed, how much of it is suspicious, and who says so."""
    worst = room.found.worst()
    rows = [room.data_row(face) for face in room.desk.queue]
    doubted, contradicted = (int((worst[rows] < limit).sum()) for limit in (DOUBTED, CONTRADICTED))
    by = " and ".join(sorted({room.found.views[label].by for label in room.found.labels}))
    labels = ", ".join(room.found.labels[:4]) + (", ..." if len(room.found.labels) > 4 else "")
    return (
        f"{len(rows):,} faces by {labels}: {doubted:,} with a label that the classifier disagrees with, "
        f"{contradicted:,} of them firmly ({by})"
    )


def serve(
    room: ReviewRoom,
    settings: ServiceSettings,
    *,
    by: str | None = None,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve until SIGINT or SIGTERM. ``ready`` is told the address once the socket listens."""
    serve_app(create_app(room, settings, by=by), settings, ready=ready)
