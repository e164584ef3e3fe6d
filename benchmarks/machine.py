"""The peak of this machine's matrix products: GFLOP/s in fp32 and bf16 for n threads, as JSON.

    python benchmarks/machine.py [--threads 1 --threads 2] [--size 2048]

A square product of n x n matrices counts 2 n^3 operations; the best of several repeats over at least half a second is
the peak, since everything that disturbs a measurement makes it slower.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time

import torch

SECONDS_EACH = 0.5
LEAST_REPEATS = 4


def peak_gflops(dtype: torch.dtype, threads: int, size: int = 2048) -> float:
    """The best rate of ``size`` x ``size`` products, in GFLOP/s, with ``threads`` threads of this process."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        generator = torch.Generator().manual_seed(0)
        a = torch.randn(size, size, generator=generator).to(dtype)
        b = torch.randn(size, size, generator=generator).to(dtype)
        best, spent, repeats = float("inf"), 0.0, 0
        a @ b
        while spent < SECONDS_EACH or repeats < LEAST_REPEATS:
            start = time.perf_counter()
            a @ b
            seconds = time.perf_counter() - start
            best, spent, repeats = min(best, seconds), spent + seconds, repeats + 1
    finally:
        torch.set_num_threads(before)
    return 2 * size**3 / best / 1e9


def cpu_model() -> str:
    """The processor's name, as well as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def measure(threads: list[int], size: int = 2048) -> dict[str, object]:
    """The machine and its peaks."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "load_average_1_min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "matrix_size": size,
        "peak_gflops": {
            f"{name}_{n}_threads": round(peak_gflops(dtype, n, size), 1)
            for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))
            for n in threads
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--threads", type=int, action="append", help="thread count; may be repeated (default: 1 and all)"
    )
    parser.add_argument("--size", type=int, default=2048, help="rows and columns of the matrices")
    args = parser.parse_args()
    threads = args.threads or sorted({1, os.cpu_count() or 1})
    json.dump(measure(threads, args.size), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
