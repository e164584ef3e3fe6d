"""A polite download of many small files, each with the MD5 that it had when its list was made.

Politeness: a few connections a host with a pause between requests, a bounded number in all, a name in the User-Agent,
waits that grow after an error (and ``Retry-After`` where a server says so), and no more requests to a host that three
times in a row could not be reached.

What was learnt of each file goes at once into a journal (JSON lines), so that a run that was killed goes on where it
stopped. A file on disk with the right MD5 is not fetched again. What can change by waiting (a slow or unreachable
host, a broken transfer) is tried again by the next run; what cannot (404, 410, another MD5) is not.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mien.core.errors import PhotoError
from mien.core.files import write_bytes
from mien.core.foreign import json_of
from mien.datasets.reasons import Reason

if TYPE_CHECKING:
    import httpx

Outcome = Reason | None  # None: the file is there


@dataclass(frozen=True, slots=True)
class Download:
    """One file that is wanted: where from, where to, and what must be behind the link."""

    key: str  # its name in the journal
    url: str
    path: Path
    md5: str  # 32 hexadecimal digits


@dataclass(frozen=True, slots=True)
class RateLimits:
    """How the network is treated. The defaults are for strangers' servers."""

    concurrency: int = 16  # transfers at a time, over all hosts
    per_host: int = 2  # transfers at a time, one host
    host_pause_seconds: float = 0.25  # between the starts of two requests to one host
    tries: int = 3
    first_wait_seconds: float = 1.0  # after an error; doubles with each further one
    longest_wait_seconds: float = 60.0
    connect_seconds: float = 10.0
    read_seconds: float = 20.0  # without a byte
    file_seconds: float = 120.0  # for one file from request to last byte
    max_bytes: int = 50_000_000
    dead_after: int = 3  # failures to connect in a row, after which a host is left alone


@dataclass(frozen=True, slots=True)
class Found:
    """How one try ended. ``final``: another try cannot end otherwise, not even in another run."""

    outcome: Outcome
    final: bool = True
    data: bytes = b""
    unreachable: bool = False
    wait_seconds: float = 0.0  # asked for by the server


Check = Callable[[Download, bytes], Outcome]
"""Looks at the bytes of a file whose MD5 is right; a reason not to keep it, or None. Runs in a thread."""


class Journal:
    """What became of each file: one JSON line each, the last line of a key counts; a half-written line is ignored."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Found]:
        """Key -> how it ended last time (without data)."""
        found: dict[str, Found] = {}
        try:
            text = self.path.read_text("utf-8", errors="replace")
        except FileNotFoundError:
            return found
        for line in text.splitlines():
            try:
                row = json_of(line)
                found[row["key"]] = Found(row["outcome"], bool(row["final"]))
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def add(self, key: str, found: Found) -> None:
        """Append one line; a line that a killed run left unfinished is ended first."""
        row = json.dumps({"key": key, "outcome": found.outcome, "final": found.final}, ensure_ascii=False)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            file.seek(0, 2)
            if file.tell():
                file.seek(-1, 2)
                row = row if file.read(1) == b"\n" else "\n" + row
            file.write((row + "\n").encode())


def download(
    downloads: Iterable[Download],
    journal: Journal,
    *,
    limits: RateLimits | None = None,
    check: Check | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Outcome]:
    """Bring what is not there yet; returns how each key ended. ``progress`` is told (done, total) after each.

    No state of a server raises; a disk that is full or not writable raises ``OSError``.
    """
    wanted = list(downloads)
    run = _Run(limits or RateLimits(), journal, check, progress or (lambda done, total: None), len(wanted))
    try:
        asyncio.run(run.all(wanted))
    except BaseExceptionGroup as group:
        raise _first(group) from group
    return {item.key: run.outcomes[item.key] for item in wanted}


def has_md5(path: Path, md5: str) -> bool:
    """Whether a file is there with this MD5."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest() == md5.lower()
    except OSError:
        return False


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


@dataclass(slots=True)
class _Host:
    """What is known of one host during a run."""

    failures: int = 0  # to connect, in a row
    next_start: float = 0.0


@dataclass(slots=True)
class _Run:
    limits: RateLimits
    journal: Journal
    check: Check | None
    progress: Callable[[int, int], None]
    total: int
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)

    async def all(self, downloads: list[Download]) -> None:
        """Settle what needs no network, then one queue a link and two workers a host."""
        import httpx

        # Names are looked up in threads: more of them than cores, or one slow lookup holds up every other host.
        threads = ThreadPoolExecutor(self.limits.concurrency + 4, thread_name_prefix="download")
        asyncio.get_running_loop().set_default_executor(threads)
        known = await asyncio.to_thread(self.journal.read)
        queues: dict[str, dict[tuple[str, str], list[Download]]] = defaultdict(dict)
        for item in downloads:
            before = known.get(item.key)
            if await asyncio.to_thread(has_md5, item.path, item.md5):
                self._settle(item, None)
            elif before is not None and before.final and before.outcome is not None:
                self._settle(item, before.outcome)
            elif (address := host_of(item.url)) is None:
                self._settle(item, "bad_label_row")
            else:  # one link that is wanted for several faces is fetched once
                queues[address].setdefault((item.url, item.md5), []).append(item)
        slots = asyncio.Semaphore(self.limits.concurrency)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=self.limits.concurrency)
        timeout = httpx.Timeout(self.limits.read_seconds, connect=self.limits.connect_seconds)
        headers = {"User-Agent": _user_agent(), "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"}
        async with (
            httpx.AsyncClient(headers=headers, timeout=timeout, limits=limits, follow_redirects=True) as client,
            asyncio.TaskGroup() as tasks,
        ):
            for links in queues.values():
                host, queue = _Host(), list(reversed(links.values()))
                for _ in range(min(self.limits.per_host, len(queue))):
                    tasks.create_task(self._work(client, slots, host, queue))

    async def _work(
        self, client: httpx.AsyncClient, slots: asyncio.Semaphore, host: _Host, queue: list[list[Download]]
    ) -> None:
        while queue:
            same = queue.pop()
            found = await self._fetch(client, slots, host, same[0])
            for item in same:
                await self._keep(item, found)

    async def _fetch(self, client: httpx.AsyncClient, slots: asyncio.Semaphore, host: _Host, item: Download) -> Found:
        found = Found("gone", final=False)
        for number in range(self.limits.tries):
            if host.failures >= self.limits.dead_after:
                return Found("gone", final=False)
            if number:
                wait = max(found.wait_seconds, self.limits.first_wait_seconds * 2 ** (number - 1))
                await asyncio.sleep(min(wait, self.limits.longest_wait_seconds))
            now = time.monotonic()
            start = max(now, host.next_start)
            host.next_start = start + self.limits.host_pause_seconds
            await asyncio.sleep(start - now)
            async with slots:
                found = await _try(client, item, self.limits)
            host.failures = host.failures + 1 if found.unreachable else 0
            if found.final:
                break
        return found

    async def _keep(self, item: Download, found: Found) -> None:
        if found.outcome is None and self.check is not None:
            reason = await asyncio.to_thread(self.check, item, found.data)
            found = Found(reason, data=found.data)
        if found.outcome is None:
            await asyncio.to_thread(write_bytes, item.path, found.data)
        self.journal.add(item.key, found)
        self._settle(item, found.outcome)

    def _settle(self, item: Download, outcome: Outcome) -> None:
        self.outcomes[item.key] = outcome
        self.told["done"] += 1
        self.progress(self.told["done"], self.total)


async def _try(client: httpx.AsyncClient, item: Download, limits: RateLimits) -> Found:
    """One request and what it means."""
    import httpx

    try:
        async with asyncio.timeout(limits.file_seconds), client.stream("GET", item.url) as response:
            if response.status_code != httpx.codes.OK:
                return _of_status(response.status_code, response.headers)
            parts: list[bytes] = []
            size = 0
            async for part in response.aiter_bytes():
                parts.append(part)
                size += len(part)
                if size > limits.max_bytes:
                    return Found("refused")
    except (httpx.ConnectError, httpx.ConnectTimeout):
        return Found("gone", final=False, unreachable=True)
    except (TimeoutError, httpx.TimeoutException):
        return Found("slow", final=False)
    except (httpx.RemoteProtocolError, httpx.ReadError):
        return Found("truncated", final=False)
    except (httpx.TooManyRedirects, httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError, ValueError):
        return Found("gone")
    except httpx.HTTPError:
        return Found("refused", final=False)
    data = b"".join(parts)
    if hashlib.md5(data, usedforsecurity=False).hexdigest() == item.md5.lower():
        return Found(None, data=data)
    return await asyncio.to_thread(_of_other, data)


def _of_status(status: int, headers: Mapping[str, str]) -> Found:
    if status in (404, 410):
        return Found("gone")
    again = status in (408, 425, 429) or status >= 500
    asked = headers.get("Retry-After", "")
    return Found("refused", final=not again, wait_seconds=float(asked) if asked.isdecimal() else 0.0)


def _of_other(data: bytes) -> Found:
    """Another file than the one listed: cut short (a server that closed early without saying the length) or changed."""
    from mien.core.photos import decode_photo

    try:
        decode_photo(data)
    except PhotoError as error:
        if error.reason == "truncated":
            return Found("truncated", final=False)
    return Found("changed")


def host_of(url: str) -> str | None:
    """The host (and port) of an http or https link, or None where it is no such link."""
    import httpx

    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, ValueError, TypeError):
        return None
    return parsed.netloc.decode("ascii", "replace") if parsed.scheme in ("http", "https") and parsed.host else None


def _user_agent() -> str:
    from mien.core.version import __version__

    return f"mien/{__version__} (face dataset download for research; one list, each file once)"
