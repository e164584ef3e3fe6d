"""How fast the face encoder extracts features, and what share of the machine's bf16 peak that is, as JSON.

    python benchmarks/features.py [--data DEST] [--count 10000] [--threads 1 --threads 2] [--json FILE]

The way is that of ``mien.datasets.features``: JPEG crops of 256 px are decoded, the encoder's window is cut, the
network
runs in bf16. Without --data the crops are drawn: the speed does not depend on what is on them. Nothing is read from a
cache of features or written to one. Every figure comes from a process of its own, after one batch to warm up.

The share of the peak is the arithmetic of the network (as counted by torch) a second, over the peak of square matrix
products measured by the same process before and after. On a machine that is busy with other work the wall clock says
little, so with one thread rates and peak are given by processor time, too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import machine
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from mien.core.images import decode_crop, encode_jpeg, resize, to_tensor
from mien.core.memory import keep_freed_memory
from mien.core.seeding import stream
from mien.datasets import catalog
from mien.datasets.batches import FaceDataset
from mien.faces.align import encoder_window
from mien.faces.encoder import Encoder, load_encoder

TAPS = {"facenet": "embedding", "vgg-face": "fc7"}
CROP_PX = 256
DRAWN = 64  # different crops where they are drawn


def jpegs(data: Path | None, count: int) -> Iterator[bytes]:
    """``count`` crops as JPEG: of a dataset in its order (from the start again if it has fewer), or drawn."""
    if data is None:
        random = stream(0, "drawn crops")
        small = random.integers(0, 256, (DRAWN, 24, 24, 3), np.uint8)
        drawn = [encode_jpeg(resize(each, CROP_PX, CROP_PX)) for each in small]
        for k in range(count):
            yield drawn[k % DRAWN]
        return
    faces = FaceDataset.open(data).faces
    given = 0
    while given < count:
        for start in range(0, len(faces), catalog.ROW_GROUP):
            block = faces[start : start + catalog.ROW_GROUP]
            for shard in dict.fromkeys(str(face.shard) for face in block):
                rows = [int(face.row_in_shard or 0) for face in block if face.shard == shard]
                for jpeg in catalog.read_shard(data, shard, rows):
                    yield jpeg
                    given += 1
                    if given == count:
                        return


def operations(encoder: Encoder, tap: str) -> int:
    """Floating point operations of one face (a multiplication and an addition are two)."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        encoder(torch.zeros(1, 3, encoder.input_size, encoder.input_size), [tap])
    return int(counter.get_total_flops())


def extract(encoder: Encoder, tap: str, crops: Iterator[bytes], batch: int) -> dict[str, float]:
    """Seconds by the wall clock and by processor time of each stage, over all crops."""
    spent: dict[str, float] = {}

    def mark(stage: str, since: tuple[float, float]) -> tuple[float, float]:
        now = time.perf_counter(), time.process_time()
        spent[stage] = spent.get(stage, 0.0) + now[0] - since[0]
        spent[f"{stage}_cpu"] = spent.get(f"{stage}_cpu", 0.0) + now[1] - since[1]
        return now

    done = False
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        while not done:
            at = time.perf_counter(), time.process_time()
            block = []
            for jpeg in crops:
                block.append(decode_crop(jpeg))
                if len(block) == batch:
                    break
            done = len(block) < batch
            if not block:
                break
            at = mark("decode", at)
            windows = encoder_window(to_tensor(np.stack(block)), encoder.input_size)
            at = mark("window", at)
            encoder(windows, [tap])[tap].float().numpy().astype(np.float16)
            mark("network", at)
    return spent


def peak_by_processor_time(size: int = 2048, repeats: int = 12) -> float:
    """As ``machine.peak_gflops`` with one thread, in GFLOP a second of processor time: what others do counts less."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(size, size, generator=generator).bfloat16() for _ in range(2))
    a @ b
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        a @ b
        best = min(best, time.process_time() - start)
    return 2 * size**3 / best / 1e9


def measure(name: str, data: Path | None, count: int, batch: int, threads: int) -> dict[str, object]:
    """All figures of one thread count, in this process."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    encoder = load_encoder(name)
    tap = TAPS[name]
    flops = operations(encoder, tap)
    before = machine.peak_gflops(torch.bfloat16, threads)
    extract(encoder, tap, jpegs(data, batch), batch)
    spent = extract(encoder, tap, jpegs(data, count), batch)
    peak = max(before, machine.peak_gflops(torch.bfloat16, threads))
    stages = ("decode", "window", "network")
    figures: dict[str, object] = {
        "images_per_second": round(count / sum(spent[stage] for stage in stages), 1),
        "network_images_per_second": round(count / spent["network"], 1),
        "stage_ms_per_image": {stage: round(1000 * spent[stage] / count, 2) for stage in stages},
        "gflop_per_image": round(flops / 1e9, 3),
        "peak_bf16_gflops": round(peak, 1),
        "share_of_peak": round(count * flops / spent["network"] / peak / 1e9, 3),
        "share_of_peak_all_stages": round(count * flops / sum(spent[stage] for stage in stages) / peak / 1e9, 3),
    }
    if threads == 1:
        total = sum(spent[f"{stage}_cpu"] for stage in stages)
        steady = peak_by_processor_time()
        figures |= {
            "images_per_processor_second": round(count / total, 1),
            "network_images_per_processor_second": round(count / spent["network_cpu"], 1),
            "stage_processor_ms_per_image": {stage: round(1000 * spent[f"{stage}_cpu"] / count, 2) for stage in stages},
            "peak_bf16_gflop_per_processor_second": round(steady, 1),
            "share_of_peak_by_processor_time": round(count * flops / spent["network_cpu"] / steady / 1e9, 3),
            "share_of_peak_all_stages_by_processor_time": round(count * flops / total / steady / 1e9, 3),
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a dataset of `mien data prepare` (default: drawn crops)")
    parser.add_argument("--encoder", choices=list(TAPS), default="facenet")
    parser.add_argument("--count", type=int, default=10_000, help="faces")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument(
        "--threads", type=int, action="append", help="thread count; may be repeated (default: 1 and all)"
    )
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)  # this process measures one thread count
    args = parser.parse_args()
    if min(args.count, args.batch) < 1:
        parser.error(f"--count {args.count}, --batch {args.batch} given; allowed are 1 and more")
    if args.alone:
        print(json.dumps(measure(args.encoder, args.data, args.count, args.batch, args.alone)))
        return
    threads = args.threads or sorted({1, os.cpu_count() or 1})
    figures: dict[str, object] = {"encoder": args.encoder, "count": args.count, "batch": args.batch}
    for n in threads:
        words = ["--encoder", args.encoder, "--count", str(args.count), "--batch", str(args.batch), "--alone", str(n)]
        words += ["--data", str(args.data)] if args.data else []
        environment = {**os.environ, "OMP_NUM_THREADS": str(n), "OMP_WAIT_POLICY": "PASSIVE"}
        done = subprocess.run(
            [sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE, text=True, env=environment
        )
        figures[f"{n}_threads"] = json.loads(done.stdout.splitlines()[-1])
    figures["machine"] = machine.measure(threads)
    text = json.dumps(figures, indent=2)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
