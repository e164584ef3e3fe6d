"""Faces as shards: the faces that the command makes without, whole or not there, on a disk or in a store."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from crowd_tiny import write_tiny_weights

from mien.core.errors import MienError, RequestError
from mien.core.photos import decode_photo, read_photo
from mien.core.storage import Storage, is_url
from mien.pipelines.engine import Engine
from mien.pipelines.shards import ShardFormat, shards_of

Cli = Callable[..., Result]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="module")
def words(weights: Path) -> tuple[object, ...]:
    return ("crowd", "--count", 10, "--age", "20-35", "--weights", weights, "--seed", 3)


def members(shard: bytes | Path) -> dict[str, bytes]:
    data = shard if isinstance(shard, bytes) else shard.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore[union-attr]


def good(result: Result) -> str:
    assert result.exit_code == 0, result.exception
    return result.stdout


def test_shards_hold_the_faces_of_the_command(cli_here: Cli, words: tuple[object, ...], tmp_path: Path) -> None:
    good(cli_here(*words, "--out", tmp_path / "plain"))
    out = tmp_path / "shards"
    said = good(cli_here(*words, "--out", out, "--shards", "tar", "--shard-faces", 4))
    assert said == f"10 faces in {out} (seed 3)\n"
    assert sorted(path.name for path in out.iterdir()) == [*(f"shard-00000{k}.tar" for k in range(3)), "shards.json"]
    index = json.loads((out / "shards.json").read_text())
    assert index["complete"]
    assert [(one["first"], one["faces"]) for one in index["shards"]] == [(0, 4), (4, 4), (8, 2)]
    found = {name: data for one in index["shards"] for name, data in members(out / one["file"]).items()}
    assert sorted(found) == sorted(f"{k:07d}.{end}" for k in range(10) for end in ("png", "json"))
    for line in (tmp_path / "plain" / "manifest.jsonl").read_text().splitlines():
        row = json.loads(line)
        stem = f"{row['index']:07d}"
        assert json.loads(found[f"{stem}.json"]) == {**row, "file": f"{stem}.png"}
        assert np.array_equal(decode_photo(found[f"{stem}.png"]), read_photo(tmp_path / "plain" / row["file"]))


def test_parquet_is_read_by_datasets_with_its_pictures(
    cli_here: Cli, words: tuple[object, ...], tmp_path: Path
) -> None:
    import datasets

    out = tmp_path / "shards"
    good(cli_here(*words, "--out", out, "--shards", "parquet", "--shard-faces", 6))
    files = [str(out / f"shard-00000{k}.parquet") for k in range(2)]
    table = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert len(table) == 10
    assert [table[k]["index"] for k in range(10)] == list(range(10))
    good(cli_here(*words, "--out", tmp_path / "tar", "--shards", "tar"))
    whole = members(tmp_path / "tar" / "shard-000000.tar")
    for one in table:
        row = json.loads(one["row"])
        assert (row["sex"], row["age"], row["file"]) == (one["sex"], one["age"], one["file"])
        assert np.array_equal(np.asarray(one["image"]), decode_photo(whole[row["file"]]))


def test_imagined_faces_come_in_shards_too(cli_here: Cli, weights: Path, tmp_path: Path) -> None:
    del weights
    words = ("imagine", "a smiling woman", "--count", 3, "--seed", 2, "--set", "renderer=decoder", "--size", 128)
    good(cli_here(*words, "--out", tmp_path / "plain"))
    good(cli_here(*words, "--out", tmp_path / "shards", "--shards", "tar", "--shard-faces", 2))
    second = members(tmp_path / "shards" / "shard-000001.tar")
    assert sorted(second) == ["0000002.json", "0000002.png"]
    assert np.array_equal(decode_photo(second["0000002.png"]), read_photo(tmp_path / "plain" / "00002.png"))
    row = json.loads((tmp_path / "plain" / "manifest.jsonl").read_text().splitlines()[2])
    assert json.loads(second["0000002.json"]) == {**row, "file": "0000002.png"}


def test_a_run_that_is_killed_goes_on_with_what_is_missing(weights: Path, cli_here: Cli, tmp_path: Path) -> None:
    words = ("crowd", "--count", "1500", "--weights", str(weights), "--unmarked", "--shards", "tar", "--shard-faces")
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "mien", *words, "20", "--seed", "5", "--out", str(out)]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (out / "shard-000002.tar").exists():
        assert run.poll() is None
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    assert 3 <= len(before) < 75
    assert not json.loads((out / "shards.json").read_text())["complete"]
    said = good(cli_here(*words, 20, "--out", out, "--resume"))  # the seed is that of the run
    assert said == f"1500 faces in {out} (seed 5, {20 * len(before)} were there)\n"
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    assert len(list(out.iterdir())) == 76
    good(cli_here("crowd", "--count", 20, *words[3:], 20, "--seed", 5, "--out", tmp_path / "first"))
    assert (tmp_path / "first" / "shard-000000.tar").read_bytes() == (out / "shard-000000.tar").read_bytes()
    keys = [name for path in sorted(out.glob("*.tar")) for name in members(path) if name.endswith(".png")]
    assert keys == [f"{k:07d}.png" for k in range(1500)]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--shards", "zip"), "--shards: 'zip' given; allowed: tar, parquet"),
        (("--shards", "tar", "--shard-faces", 0), "--shard-faces: 0 given; allowed are 1 to 100000"),
        (("--shards", "tar", "--sheet"), "--sheet: given with --shards; shards hold a request's faces and nothing"),
        (("--shard-faces", 5), "--shard-faces: given without --shards; give --shards tar or parquet"),
        (("--engine", "spark"), "--engine: 'spark' given; allowed: local, ray"),
        (("--workers", 2), "--workers: given with --engine local; only ray uses it"),
        (("--engine", "ray"), "--engine: ray writes shards; give --shards tar or parquet"),
        (("--out", "s3://a/b"), "--out: s3://a/b is a URL; shards go there: give --shards tar or parquet"),
        (("--shards", "tar", "--out", "nowhere://a"), "--out: nowhere://a: Protocol not known: nowhere"),
    ],
)
def test_what_does_not_fit_is_refused(
    cli_here: Cli, words: tuple[object, ...], tmp_path: Path, more: tuple[object, ...], message: str
) -> None:
    result = cli_here(*words, "--out", tmp_path / "out", *more)
    assert isinstance(result.exception, RequestError)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_shards_are_not_mixed_or_overwritten_unasked(cli_here: Cli, words: tuple[object, ...], tmp_path: Path) -> None:
    out = tmp_path / "out"
    shards = (*words, "--out", out, "--shards", "tar", "--shard-faces", 5)
    good(cli_here(*shards))
    with pytest.raises(RequestError, match="holds shards already; another place, --resume or --force is wanted"):
        raise cli_here(*shards).exception  # type: ignore[misc]
    with pytest.raises(RequestError, match=r"holds shards of another request \(seed 3\); the same request"):
        raise cli_here(*shards, "--sex", "male", "--resume").exception  # type: ignore[misc]
    assert good(cli_here(*shards, "--resume")) == f"10 faces in {out} (seed 3, 10 were there)\n"
    good(cli_here(*words, "--out", out, "--shards", "parquet", "--force"))
    assert sorted(path.name for path in out.iterdir()) == ["shard-000000.parquet", "shards.json"]
    good(cli_here(*words, "--out", tmp_path / "plain"))
    with pytest.raises(RequestError, match="holds faces already"):
        raise cli_here(*words, "--out", tmp_path / "plain", "--shards", "tar", "--force").exception  # type: ignore[misc]


def test_a_face_that_fails_leaves_no_shard(tmp_path: Path) -> None:
    def fail() -> None:
        with Storage(str(tmp_path)).new_file("shard-000000.tar") as path:
            path.write_bytes(b"half")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_shards_cover_every_face_once() -> None:
    for count, faces in ((1, 1), (10, 3), (9, 3), (1_000_000, 1000)):
        shards = shards_of(count, ShardFormat("tar", faces))
        assert [one.first for one in shards] == list(range(0, count, faces))
        assert sum(one.faces for one in shards) == count


def test_an_engine_gives_records_in_order_and_counts() -> None:
    told: list[tuple[int, int]] = []
    made = list(Engine().run([3, 1, 2], lambda: lambda item: 10 * item, on_progress=lambda *now: told.append(now)))
    assert made == [30, 10, 20]
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(("place", "url"), [("s3://a/b", True), ("memory://x", True), ("C:\\a", False), ("a/b", False)])
def test_a_url_is_told_from_a_path(place: str, url: bool) -> None:
    assert is_url(place) == url


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A bucket ``faces`` of a store like S3 on this machine, which s3fs finds by the environment."""
    boto3 = pytest.importorskip("boto3", reason="boto3 absent: pip install 'moto[s3]'")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    mine = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1"}  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in mine.items():
            patch.setenv(name, value)
        store = boto3.client("s3")
        store.create_bucket(Bucket="faces")
        yield store
    server.stop()


def test_a_store_of_objects_takes_shards_and_a_run_goes_on_there(
    cli_here: Cli, words: tuple[object, ...], bucket: Any, tmp_path: Path
) -> None:
    unmarked = (*words, "--unmarked", "--shards", "tar", "--shard-faces", 4)
    good(cli_here(*unmarked, "--out", tmp_path / "here"))
    good(cli_here(*unmarked, "--out", "s3://faces/run/one"))

    def there() -> dict[str, bytes]:
        keys = [one["Key"] for one in bucket.list_objects_v2(Bucket="faces").get("Contents", [])]
        return {key: bucket.get_object(Bucket="faces", Key=key)["Body"].read() for key in keys}

    expected = {f"run/one/{path.name}": path.read_bytes() for path in (tmp_path / "here").iterdir()}
    assert there() == expected
    assert isinstance(cli_here(*unmarked, "--out", "s3://faces/run/one").exception, RequestError)
    bucket.delete_object(Bucket="faces", Key="run/one/shard-000001.tar")
    said = good(cli_here(*unmarked, "--out", "s3://faces/run/one", "--resume"))
    assert said == "10 faces in s3://faces/run/one (seed 3, 6 were there)\n"
    assert there() == expected
    good(cli_here(*words, "--out", "s3://faces/run/one", "--shards", "tar", "--force"))
    assert sorted(there()) == ["run/one/shard-000000.tar", "run/one/shards.json"]
    with pytest.raises(MienError, match="--out: s3://absent/x: "):
        raise cli_here(*unmarked, "--out", "s3://absent/x").exception  # type: ignore[misc]
    assert os.environ["AWS_ENDPOINT_URL"]
