"""Bulk work on a Ray cluster of two nodes on this machine: the same results as here, also when a node is killed."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import photos_stub
import pytest
from click.testing import Result
from crowd_tiny import write_tiny_weights

from mien.core.errors import PhotoError
from mien.datasets import prepare
from mien.pipelines.engine import Engine
from mien.pipelines.face_jobs import CrowdJob, Marking
from mien.pipelines.pictures import Picture
from mien.pipelines.request import FacesRequest
from mien.pipelines.shards import ShardFormat, opened_shards, write_shards
from mien.provenance.marks import Marks

pytest.importorskip("ray", reason="ray absent: pip install 'mien[cluster]'")

STORE_BYTES = 100 * 2**20
# A node that is gone is noticed after five seconds instead of fifteen; one that is slow has as long as ever.
HEALTH = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000, "health_check_timeout_ms": 10_000}
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # within Ray
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@dataclass
class Nodes:
    """The cluster, and the node that may be killed."""

    cluster: Any
    second: Any

    def kill(self) -> None:
        """End the second node and all its processes, as a power cut does."""
        self.cluster.remove_node(self.second, allow_graceful=False)


def patient(start: Callable[..., Any], **options: Any) -> Any:
    """A node; Ray gives up after 30 s, which a busy machine may need."""
    for _ in range(3):
        try:
            return start(**options)
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
    pytest.fail("Ray does not start on this machine")


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A head with one core and a node with one core; this process is connected."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))  # of the nodes
        import ray
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False, "_system_config": HEALTH}
        cluster = Cluster()
        second = [patient(cluster.add_node, **node) for node in (head, {**head, "_system_config": None})][1]
        ray.init(address=cluster.address, log_to_driver=False)
        yield Nodes(cluster, second)
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.models
def test_photos_are_described_and_drawn_as_they_are_here(
    nodes: Nodes, models_cache: Path, cli_here: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mien
    from mien.core.images import write_png

    del models_cache
    monkeypatch.chdir(tmp_path)
    for face in mien.load("crowd", preset="mien").sample(2, age=30, seed=1):
        write_png(f"{face.index}.png", face.image)
    Path("broken.png").write_bytes(b"no picture")
    photos, ray = ("0.png", "broken.png", "1.png"), ("--engine", "ray", "--workers", 1)
    here, there = (
        cli_here("describe", *photos, "--json", "--out", out, *more) for out, more in (("a", ()), ("b", ray))
    )
    assert (here.exit_code, there.exit_code) == (1, 1)
    assert here.stdout == there.stdout
    assert here.stdout.count('"age_years"') == 2
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    words = ("portrait", *photos, "--refine", 0, "--unmarked")
    assert [cli_here(*words, "--out", *more).exit_code for more in (("c",), ("d", *ray))] == [1, 1]
    assert contents(tmp_path / "c") == contents(tmp_path / "d")
    assert sorted(contents(tmp_path / "c")) == ["00000.png", "00001.png", "manifest.jsonl"]


def test_a_dataset_is_prepared_as_it_is_here(nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "CHUNK_PHOTOS", 2)
    job = photos_stub.job(photos_stub.write_photos(tmp_path, 7))
    for name, run in (("here", None), ("there", Engine("ray", workers=1).run)):
        summary = prepare.prepare(job, tmp_path / name, load_finder=photos_stub.StubFinder, run=run)
        assert summary.kept == 7
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


@dataclass(frozen=True, slots=True)
class Traced:
    """A job that leaves a file for each part it was asked for, named by the part and the node, and takes its time."""

    job: CrowdJob
    trace: Path

    @property
    def count(self) -> int:
        return self.job.count

    def about(self) -> dict[str, Any]:
        return self.job.about()

    def marks(self) -> Marks:
        return self.job.marks()

    def load(self) -> Callable[[int, int], Iterator[Picture]]:
        import ray

        make, node = self.job.load(), ray.get_runtime_context().get_node_id()

        def traced(first: int, number: int) -> Iterator[Picture]:
            (self.trace / f"{first:06d} {node} {secrets.token_hex(4)}").touch()
            time.sleep(0.2)
            return make(first, number)

        return traced

    def nodes(self) -> set[str]:
        return {path.name.split()[1] for path in self.trace.iterdir()}


def fail(error: Exception) -> Callable[[int], int]:
    def work(item: int) -> int:
        raise error

    return work


def test_what_fails_in_a_worker_is_told_as_it_is_here(nodes: Nodes) -> None:
    with pytest.raises(PhotoError, match=r"^a\.jpg: cut short") as told:
        list(Engine("ray", workers=1).run([1, 2], partial(fail, PhotoError("truncated", "a.jpg: cut short"))))
    assert told.value.reason == "truncated"


def test_a_command_on_the_cluster_writes_what_it_writes_here(
    nodes: Nodes, weights: Path, cli_here: Callable[..., Result], tmp_path: Path
) -> None:
    words = ("crowd", "--count", 30, "--seed", 4, "--weights", weights, "--unmarked", "--shard-faces", 8)
    for name, engine in (("here", ("--engine", "local")), ("there", ("--engine", "ray", "--workers", 1))):
        result = cli_here(*words, "--shards", "parquet", "--out", tmp_path / name, *engine)
        assert result.exit_code == 0, result.exception
        assert result.stdout == f"30 faces in {tmp_path / name} (seed 4)\n"
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


@pytest.mark.models
def test_imagined_faces_on_the_cluster_are_those_of_here(
    nodes: Nodes, models_cache: Path, cli_here: Callable[..., Result], tmp_path: Path
) -> None:
    del models_cache
    words = ("imagine", "a smiling woman", "--count", 3, "--seed", 4, "--set", "renderer=decoder", "--shard-faces", 2)
    for name, engine in (("here", ("--engine", "local")), ("there", ("--engine", "ray", "--workers", 1))):
        result = cli_here(*words, "--shards", "parquet", "--unmarked", "--out", tmp_path / name, *engine)
        assert result.exit_code == 0, result.exception
    assert len(contents(tmp_path / "here")) == 3, "two shards and what they are"
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_a_node_is_killed_and_nothing_is_lost_or_twice(nodes: Nodes, weights: Path, tmp_path: Path) -> None:
    job = CrowdJob(FacesRequest(count=192, seed=9), "mien", weights=weights, marking=Marking(wanted=False))
    traced, form = Traced(job, tmp_path / "trace"), ShardFormat("tar", 8)
    traced.trace.mkdir()
    told: list[int] = []

    def on_progress(done: int, total: int) -> None:
        told.append(done)
        if len(told) == 3:
            until = time.monotonic() + 60
            while len(traced.nodes()) < 2 and time.monotonic() < until:
                time.sleep(0.05)
            assert len(traced.nodes()) == 2, "the second node did nothing before it was to be killed"
            nodes.kill()

    with opened_shards(str(tmp_path / "there")) as output:
        assert write_shards(traced, output, form, Engine("ray", workers=2), on_progress=on_progress) == 192
    with opened_shards(str(tmp_path / "here")) as output:
        write_shards(job, output, form, Engine())
    assert told == list(range(8, 193, 8))
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
