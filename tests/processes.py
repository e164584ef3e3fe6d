"""The command line in processes of their own that need not load Python, NumPy and torch anew: 3 s less each.

One process a session loads them and waits (``Nursery``). For each command it forks: the child takes the words, the
environment, the directory and the streams of the command, and then is ``python -m mien``, to its exit status.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

# What most commands load. Nothing that begins threads (polars, gradio): they would be lost in a fork.
LOADED = (
    "mien.apps.cli", "mien.faces.find", "mien.generators.crowd.sampler", "mien.generators.imagine.mien",
    "mien.generators.painter.people", "mien.papers.cgan_sanche.networks", "mien.provenance.marks",
)  # fmt: skip


class Nursery:
    """The process that forks commands, until ``close``. ``loaded``: the modules that it has ready for them."""

    def __init__(self, loaded: Sequence[str] = LOADED, env: Mapping[str, str] | None = None) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="mien-nursery-")
        self.address = str(Path(self.folder.name) / "socket")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "COVERAGE_"))}
        self.process = subprocess.Popen(
            [sys.executable, __file__, self.address, *loaded], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            env=environment | {"COLUMNS": "200", "NO_COLOR": "1"} | dict(env or {}),
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def run(
        self, words: Sequence[str], cwd: Path | None, env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """As ``subprocess.run([sys.executable, "-m", "mien", *words], capture_output=True, text=True)``."""
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            socket.socket(socket.AF_UNIX) as line,
            open(os.devnull, "rb") as nothing,
        ):
            line.settimeout(timeout)
            line.connect(self.address)
            said = json.dumps([list(words), str(cwd or Path.cwd()), dict(env)]).encode()
            socket.send_fds(line, [len(said).to_bytes(4, "big")], [stream.fileno() for stream in (nothing, out, err)])
            line.sendall(said)
            answers = line.makefile()
            number = int(answers.readline())
            try:
                status = int(answers.readline())
            except TimeoutError:
                os.kill(number, signal.SIGKILL)
                raise
            texts = []
            for stream in (out, err):
                stream.seek(0)
                texts.append(stream.read().decode().replace("\r\n", "\n"))
        return subprocess.CompletedProcess(list(words), status, *texts)

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()
        self.folder.cleanup()


def serve(address: str, loaded: Sequence[str]) -> None:
    """Fork for each command that comes; returns in the process that is to be the command."""
    import importlib

    for name in loaded:
        importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address)
        door.listen()
        print("ready", flush=True)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who keeps a command needs no burial
        door.settimeout(5)
        parent = os.getppid()
        while True:
            try:
                line, _ = door.accept()
            except TimeoutError:
                if os.getppid() != parent:  # the tests were killed
                    os._exit(0)
                continue
            if os.fork() == 0:
                break
            line.close()
    with line:
        head, streams, _, _ = socket.recv_fds(line, 4, 3)
        words, cwd, environment = json.loads(line.makefile("rb").read(int.from_bytes(head, "big")))
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        number = os.fork()
        if number:
            line.sendall(f"{number}\n".encode())
            status = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
            line.sendall(f"{status}\n".encode())
            os._exit(0)
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
        os.close(stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["mien", *words]


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
    from mien.apps.cli import main

    main()
