"""API keys: 256 random bits, shown once, kept as SHA-256.

A slow hash protects what people choose; nobody guesses 256 random bits, so a fast one is right here.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mien.core.errors import RequestError

PREFIX = "mien_"
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
LINE = re.compile(r"([A-Za-z0-9._-]{1,64}) sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Keys:
    """Name of a holder -> SHA-256 of the holder's key (hex)."""

    hashes: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Keys:
        """Read a file of lines ``NAME sha256:HEX``. ``RequestError`` names the first line of another form."""
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()  # editors of Windows write a mark before
        except (OSError, ValueError) as error:
            message = f"--keys: {path} cannot be read; make it with: mien serve --keys {path} --new-key NAME"
            raise RequestError(message) from error
        hashes = {}
        for number, line in enumerate(lines, 1):
            found = LINE.fullmatch(line.strip())
            if found:
                hashes[found[1]] = found[2]
            elif line.strip() and not line.startswith("#"):
                raise RequestError(f"--keys: {path}, line {number}: wanted NAME sha256:HEX (never the key itself)")
        if not hashes:
            raise RequestError(f"--keys: {path} holds no key; add one with: mien serve --keys {path} --new-key NAME")
        return cls(hashes)

    def holder(self, key: str) -> str | None:
        """Whose key this is. Every stored hash is compared, in constant time, so that time tells nothing."""
        given = _hash(key)
        found = None
        for name, stored in self.hashes.items():
            if hmac.compare_digest(given, stored):
                found = name
        return found


def add_key(path: Path, name: str) -> str:
    """Add a new key for ``name`` to a file of keys (made if absent, for its owner alone) and return the key."""
    if not NAME.fullmatch(name):
        raise RequestError(f"--new-key: '{name}' given; allowed: 1 to 64 letters, digits, '.', '_' and '-'")
    if path.exists() and path.read_text(encoding="utf-8").strip() and name in Keys.read(path).hashes:
        raise RequestError(f"--new-key: '{name}' has a key in {path}; remove that line first, or choose another name")
    key = PREFIX + secrets.token_urlsafe(32)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"{name} sha256:{_hash(key)}\n")
    return key


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
