"""Consoles of all kinds: other encodings; streams closed, full or gone. Never a traceback, the right status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mien.apps.cli.options import needing
from mien.core.errors import RequestError

MIEN = f"{sys.executable} -m mien"
pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a shell and /dev/full")


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A line of the shell, with its own file descriptors."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONIOENCODING", "PYTHONUTF8")}
    env = {**clean, "COLUMNS": "100", **environment}
    return subprocess.run(["bash", "-c", line], capture_output=True, env=env, timeout=60, check=False)


ENCODINGS: dict[str, dict[str, str]] = {
    "ascii": {"PYTHONIOENCODING": "ascii"}, "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "cp437": {"PYTHONIOENCODING": "cp437"},
    "the language C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
}  # fmt: skip


@pytest.mark.parametrize("how", ENCODINGS)
@pytest.mark.parametrize("words", ["attributes", "models list", "--help", "crowd --help", "attributes --json"])
def test_every_encoding_gets_its_lines(how: str, words: str) -> None:
    done = shell(f"{MIEN} {words}", **ENCODINGS[how])
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout) > 100


@pytest.mark.parametrize("how", ENCODINGS)
def test_a_name_that_the_console_cannot_write_is_written_in_figures(tmp_path: Path, how: str) -> None:
    done = shell(f"{MIEN} verify '{tmp_path}/\u4eba \u20ac.png'", **ENCODINGS[how])
    assert done.returncode == 1
    assert b"\\u4eba" in done.stderr or b"\\udce4\\udcba\\udcba" in done.stderr  # in C, names are bytes
    assert done.stderr.startswith(b"mien: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("attributes >&-", 0, b""),
        ("attributes 2>&-", 0, b""),
        ("attributes >&- 2>&-", 0, b""),
        ("attributes <&- >&- 2>&-", 0, b""),
        ("attributes >/dev/full", 1, b"mien: stdout: No space left on device\n"),
        ("attributes --json >/dev/full", 1, b"mien: stdout: No space left on device\n"),
        ("--version >/dev/full", 1, b"mien: stdout: No space left on device\n"),
        ("--help >/dev/full", 1, b"mien: stdout: No space left on device\n"),
        ("attributes >/dev/full 2>/dev/full", 1, b""),
        ("attributes 2>/dev/full", 0, b""),
        ("verify none.png 2>/dev/full", 1, b""),
        ("verify none.png 2>&-", 1, b""),
        ("verify none.png --json >&-", 1, b"mien: none.png: cannot be read (No such file or directory)\n"),
        ("crowd --count 0 --out x 2>&-", 2, b""),
        ("crowd --count 0 --out x 2>/dev/full", 2, b""),
        ("crowd --count x --out x 2>/dev/full", 2, b""),
        ("attributes | true; exit ${PIPESTATUS[0]}", None, b""),
        ("verify none.png 2>&1 >/dev/null | true; exit ${PIPESTATUS[0]}", 1, b""),
    ],
)
def test_streams_that_lead_nowhere_change_no_status(line: str, status: int | None, said: bytes, tmp_path: Path) -> None:
    done = shell(f"cd {tmp_path}; {MIEN} {line}")
    assert done.stderr == said
    assert done.returncode in ((0, 1) if status is None else (status,))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("columns", ["0", "1"])
def test_a_console_that_says_it_has_no_columns_gets_tables(columns: str) -> None:
    for words in ("attributes", "models list", "crowd --help"):
        done = shell(f"{MIEN} {words}", COLUMNS=columns)
        assert (done.returncode, done.stderr) == (0, b"")
        assert max(len(line) for line in done.stdout.decode().splitlines()) == 40
        assert len(done.stdout) > 500


def test_a_directory_that_is_gone_and_no_room_for_temporary_files_stop_no_command(tmp_path: Path) -> None:
    done = shell(f"cd {tmp_path}; mkdir a; cd a; rmdir ../a; {MIEN} attributes", TMPDIR="/nonexistent")
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout) > 500


def test_ctrl_c_while_the_command_line_loads_leaves_no_traceback() -> None:
    code = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "sys.meta_path.insert(0, type('Stop', (), {'find_spec': staticmethod(lambda name, *_: "
        "os.kill(os.getpid(), signal.SIGINT) if name == 'typer' else None)}));"
        "from mien.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_a_closed_stream_is_not_the_next_file(tmp_path: Path) -> None:
    """Whoever writes to descriptor 2 (C libraries do) must not write into a file that was opened in its place."""
    code = (
        "import os, sys; from mien.apps.cli.output import ready_streams; ready_streams();"
        "file = open('out', 'w'); os.write(2, b'noise'); os.write(1, b'noise'); file.write('face');"
        "sys.exit(file.fileno())"
    )
    done = shell(f'cd {tmp_path}; {sys.executable} -c "{code}" <&- >&- 2>&-')
    assert done.returncode > 2
    assert (tmp_path / "out").read_text() == "face"


def test_an_import_error_is_told_for_what_it_is() -> None:
    said = "Using SOCKS proxy, but the 'socksio' package is not installed."
    with pytest.raises(RequestError) as caught, needing("studio", "studio"):
        raise ImportError(said)
    assert str(caught.value) == f"studio: {said}"
    with pytest.raises(RequestError) as caught, needing("studio", "studio"):
        raise ModuleNotFoundError("No module named 'nosuch'", name="nosuch")
    assert str(caught.value) == "studio: nosuch is not installed; run: pip install 'mien[studio]'"
