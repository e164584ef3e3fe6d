"""Faces as shards that trainers stream: WebDataset tar, or Parquet with the PNGs inside. Any worker makes any shard.

Which faces a shard holds follows from its number alone, and a shard gets its name when it is whole. So a run that was
killed goes on with the shards that are missing, on another machine too.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mien.core.errors import MienError, RequestError
from mien.core.files import TEMPORARY
from mien.core.foreign import json_of
from mien.core.limits import whole_number
from mien.core.progress import OnProgress
from mien.core.storage import Storage
from mien.core.version import __version__
from mien.pipelines.engine import Engine
from mien.pipelines.faces_out import check_out, held
from mien.pipelines.pictures import marked_row, png_of

if TYPE_CHECKING:
    from mien.pipelines.pictures import Picture
    from mien.provenance.marks import Marks

FORMATS = ("tar", "parquet")
INDEX = "shards.json"
SHARD = re.compile(r"shard-\d{6}\.(tar|parquet)")
FACES = 1000  # a shard
MOST_FACES_A_SHARD = 100_000
COLUMNS = ("file", "seed", "index", "model", "model_version", "sex", "age", "row")  # of a table, beside the image
ROWS = 64  # that are held at once, and a row group of Parquet

Made = Iterable["tuple[dict[str, Any], bytes]"]  # rows and PNGs


class FaceJob(Protocol):
    """Faces that any process can make any part of. It can be pickled."""

    @property
    def count(self) -> int:
        """How many."""

    def about(self) -> dict[str, Any]:
        """What they are, for JSON: two jobs that say the same make the same faces. It has ``seed``."""

    def load(self) -> Callable[[int, int], Iterable[Picture]]:
        """Load the networks; gives the function from (first, number) to those faces."""

    def marks(self) -> Marks:
        """How they are marked."""


@dataclass(frozen=True, slots=True)
class ShardFormat:
    """How faces lie in shards. ``RequestError`` for a format that there is not, or a number out of range."""

    kind: str = "tar"
    faces: int = FACES

    def __post_init__(self) -> None:
        if self.kind not in FORMATS:
            raise RequestError(f"--shards: '{self.kind}' given; allowed: {', '.join(FORMATS)}")
        whole_number(self.faces, "--shard-faces", 1, MOST_FACES_A_SHARD)


@dataclass(frozen=True, slots=True)
class Shard:
    """Faces ``first`` to ``first + faces`` - 1 of a job."""

    file: str
    first: int
    faces: int


class ShardOutput:
    """A run's hold on OUT, a folder or a URL."""

    def __init__(self, out: str, *, force: bool = False, resume: bool = False) -> None:
        self.storage, self.resume = Storage(out), resume
        self.there = self.storage.names()
        held_already = {name for name in self.there if name == INDEX or SHARD.fullmatch(name)}
        if held_already and not (force or resume):
            raise RequestError(f"--out: {out} holds shards already; another place, --resume or --force is wanted")
        self.about: dict[str, Any] = {}  # of the run that is gone on with
        if resume and INDEX in self.there:
            with contextlib.suppress(ValueError):
                self.about = dict(json_of(self.storage.read(INDEX).decode()).get("about", {}))
        if force:
            for name in held_already:
                self.storage.remove(name)
            self.there -= held_already

    def begin(self, about: dict[str, Any]) -> None:
        """Say what is made here. ``RequestError`` where it is not what the run that is gone on with made."""
        about = json.loads(json.dumps(about))
        if self.resume and any(SHARD.fullmatch(name) for name in self.there) and self.about != about:
            raise RequestError(
                f"--resume: {self.storage.place} holds shards of another request (seed {self.about.get('seed')}); "
                "the same request, another place or --force is wanted"
            )
        self.write_index(about, (), complete=False)

    def write_index(self, about: dict[str, Any], shards: Iterable[Shard], *, complete: bool) -> None:
        """Write ``shards.json``."""
        rows = [{"file": shard.file, "first": shard.first, "faces": shard.faces} for shard in shards]
        data = json.dumps({"complete": complete, "about": about, "shards": rows}, indent=1, ensure_ascii=False)
        self.storage.write(INDEX, (data + "\n").encode())


@contextmanager
def opened_shards(out: str, *, force: bool = False, resume: bool = False) -> Iterator[ShardOutput]:
    """Hold OUT for one run. ``RequestError`` where it holds other faces, or shards and neither is allowed.

    A folder is locked against other runs; a store has no locks.
    """
    if force and resume:
        raise RequestError("--resume: given with --force; one of them is wanted")
    folder = Storage(out).folder
    if folder is None:
        yield ShardOutput(out, force=force, resume=resume)
        return
    check_out(folder)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with held(folder):
            _tidy(folder)
            yield ShardOutput(out, force=force, resume=resume)
            _tidy(folder)
    finally:
        with contextlib.suppress(OSError):
            if made:
                folder.rmdir()  # only where it is empty


def _tidy(folder: Path) -> None:
    """Remove what runs and workers that were killed left behind."""
    for left in folder.glob(TEMPORARY):
        left.unlink(missing_ok=True)


def shards_of(count: int, form: ShardFormat) -> list[Shard]:
    """The shards of a job, in order."""
    starts = enumerate(range(0, count, form.faces))
    return [Shard(f"shard-{number:06d}.{form.kind}", first, min(form.faces, count - first)) for number, first in starts]


def write_shards(
    job: FaceJob,
    output: ShardOutput,
    form: ShardFormat,
    engine: Engine,
    *,
    on_progress: OnProgress | None = None,
) -> int:
    """Write the shards that are missing, and their index; how many faces had to be made."""
    about = {**job.about(), "count": job.count, "format": form.kind, "shard_faces": form.faces, "mien": __version__}
    shards = shards_of(job.count, form)
    output.begin(about)
    missing = [shard for shard in shards if shard.file not in output.there]
    there = job.count - sum(shard.faces for shard in missing)
    done = 0
    for number in engine.run(missing, partial(shard_writer, job, output.storage, form.kind)):
        done += number
        if on_progress is not None:
            on_progress(there + done, job.count)
    output.write_index(about, shards, complete=True)
    return done


def shard_writer(job: FaceJob, storage: Storage, kind: str) -> Callable[[Shard], int]:
    """Load a job's networks; gives what writes one shard and says how many faces it holds."""
    make, marks = job.load(), job.marks()
    write = {"tar": write_tar, "parquet": write_parquet}[kind]

    def made(shard: Shard) -> Made:
        for place, picture in enumerate(make(shard.first, shard.faces), shard.first):
            row = marked_row({**picture.row, "file": f"{place:07d}.png"}, marks)
            yield row, png_of(picture.image, row, marks, picture.comment)

    def write_one(shard: Shard) -> int:
        with storage.new_file(shard.file) as path:
            number = write(path, made(shard))
            if number != shard.faces:
                raise MienError(f"{shard.file}: {number} of {shard.faces} faces were made")
        return number

    return write_one


def write_tar(path: Path, made: Made) -> int:
    """A tar as WebDataset reads it: ``0000000.png``, ``0000000.json``, ... The same content gives the same bytes."""
    number = 0
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for row, png in made:
            stem = str(row["file"]).removesuffix(".png")
            for end, data in (("png", png), ("json", json.dumps(row, ensure_ascii=False).encode())):
                member = tarfile.TarInfo(f"{stem}.{end}")
                member.size, member.mode = len(data), 0o644
                archive.addfile(member, io.BytesIO(data))
            number += 1
    return number


def write_parquet(path: Path, made: Made) -> int:
    """A table with a column ``image`` as Hugging Face's datasets reads it, the columns of all faces, and whole rows."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = _schema()
    waiting: list[dict[str, Any]] = []
    number = 0
    packed = {name: "NONE" if name == "image" else "ZSTD" for name in schema.names}  # PNGs are packed already
    with parquet.ParquetWriter(path, schema, compression=packed) as table:

        def flush() -> None:
            table.write_table(pa.Table.from_pylist(waiting, schema))
            waiting.clear()

        for row, png in made:
            age = row.get("age")
            waiting.append({
                **{name: row.get(name) for name in COLUMNS},
                "image": {"bytes": png, "path": row["file"]},
                "age": age if isinstance(age, float | int) else None,  # imagined faces have a range
                "row": json.dumps(row, ensure_ascii=False),
            })  # fmt: skip
            number += 1
            if len(waiting) == ROWS:
                flush()
        if waiting:
            flush()
    return number


def _schema() -> Any:
    """Of a table of faces; Hugging Face's datasets reads from its metadata that ``image`` is a picture."""
    import pyarrow as pa

    kinds = {name: pa.string() for name in COLUMNS} | {"seed": pa.int64(), "index": pa.int64(), "age": pa.float64()}
    features: dict[str, Any] = {name: {"_type": "Value", "dtype": _NAMES[str(kind)]} for name, kind in kinds.items()}
    features["image"] = {"_type": "Image"}
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    told = json.dumps({"info": {"features": features}})
    return pa.schema([("image", picture), *kinds.items()], {"huggingface": told})


_NAMES = {"string": "string", "int64": "int64", "double": "float64"}  # of Arrow's types in datasets
