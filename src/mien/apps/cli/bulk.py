"""`--shards` and `--engine` of the commands that make faces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.apps.cli.output import echo, stoppable

if TYPE_CHECKING:
    from mien.pipelines.engine import Engine
    from mien.pipelines.face_jobs import CrowdJob, ImagineJob
    from mien.pipelines.shards import ShardFormat


@dataclass(frozen=True, slots=True)
class Bulk:
    """How a bulk run writes, and who works."""

    form: ShardFormat
    engine: Engine


def bulk_of(
    out: str | None,
    shards: str | None,
    shard_faces: int | None,
    engine: str,
    address: str | None,
    workers: int | None,
    *,
    beside: Mapping[str, object],
) -> Bulk | None:
    """The bulk run that was asked for; ``None``: a directory of pictures. ``RequestError`` for what does not fit.

    ``beside``: options that a bulk run does not use, with what was given.
    """
    from mien.core.errors import RequestError
    from mien.core.storage import is_url
    from mien.pipelines.engine import Engine
    from mien.pipelines.shards import FACES, FORMATS, ShardFormat

    work = Engine(engine, address, workers)
    if shards is not None:
        for option, value in beside.items():
            if value:
                raise RequestError(f"{option}: given with --shards; shards hold a request's faces and nothing else")
        return Bulk(ShardFormat(shards, FACES if shard_faces is None else shard_faces), work)
    wanted = f"give --shards {' or '.join(FORMATS)}"
    if shard_faces is not None:
        raise RequestError(f"--shard-faces: given without --shards; {wanted}")
    if work.name != "local":
        raise RequestError(f"--engine: {work.name} writes shards; {wanted}")
    if out is not None and is_url(out):
        raise RequestError(f"--out: {out} is a URL; shards go there: {wanted}")
    return None


def write_bulk(
    job: CrowdJob | ImagineJob, out: str, bulk: Bulk, seed: int | None, *, force: bool, resume: bool
) -> None:
    """Write the shards of a job; a seed that was not given is that of the run that is gone on with, or drawn."""
    from mien.core.progress import progress_bars
    from mien.core.seeding import fresh_seed
    from mien.pipelines.shards import opened_shards, write_shards

    with stoppable(), opened_shards(out, force=force, resume=resume) as output:
        seed = output.about.get("seed") if seed is None else seed
        seed = seed if isinstance(seed, int) else fresh_seed()
        job = job.seeded(seed)
        with progress_bars() as bars:
            made = write_shards(job, output, bulk.form, bulk.engine, on_progress=bars(f"{job.count} faces"))
    there = f", {job.count - made} were there" if made < job.count else ""
    echo(f"{job.count} faces in {out} (seed {seed}{there})")
