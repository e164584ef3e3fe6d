"""A real PostgreSQL for a test run: its own data directory, a socket in a folder, no network; gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NOBODY = "postgres"  # the server refuses to run as root; Debian's package brings this user


def binaries() -> Path | None:
    """The folder of ``initdb`` and ``postgres``, or None where PostgreSQL is not installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    folders += [Path(found).resolve().parent] if found else []
    return next(
        (folder for folder in folders if (folder / "initdb").is_file() and (folder / "postgres").is_file()), None
    )


@contextmanager
def server(bin_folder: Path) -> Iterator[str]:
    """Start a server and give the URL of its database ``postgres``."""
    folder = Path(tempfile.mkdtemp(prefix="mien-pg-"))
    as_whom: dict[str, Any] = {"user": NOBODY, "group": NOBODY} if os.geteuid() == 0 else {}
    name = NOBODY if as_whom else pwd.getpwuid(os.geteuid()).pw_name
    if as_whom:
        shutil.chown(folder, NOBODY, NOBODY)
    data = folder / "data"

    def run(*words: str) -> None:
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
        done = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False, **as_whom
        )
        if done.returncode:
            raise RuntimeError(f"{words[0]}: {done.stdout}{done.stderr}")

    try:
        run(str(bin_folder / "initdb"), "-D", str(data), "-U", name, "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        control = str(bin_folder / "pg_ctl")
        run(control, "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            yield f"postgresql+psycopg://{name}@/postgres?host={folder}"
        finally:
            run(control, "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
