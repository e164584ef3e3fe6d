"""What a service is told once, when it starts."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from mien.apps.web.keys import Keys
from mien.core.config import Config
from mien.core.errors import RequestError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]", "::1")
MIB = 2**20


class ServiceSettings(Config):
    """Limits are per request unless they say otherwise."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)  # 0: any that is free
    address: str | None = None  # where a reverse proxy offers it, as browsers see it; None: no proxy does
    models: tuple[str, ...] = ()  # which to load, by name; empty: all
    jobs: Path | None = None  # where jobs and their results lie; None: a folder that ends with the process
    keys: Path | None = None  # hashed API keys (keys.py); None: nobody is asked for one
    credentials: Path | None = None  # certificate.pem and key.pem for content credentials; None: self-made
    marked: bool = True  # whether pictures carry watermark and content credentials

    waiting: int = Field(default=64, ge=1, le=100_000)  # requests that may wait for the model; more are told 429
    together_faces: int = Field(default=64, ge=1, le=1024)  # that the model makes in one go
    direct_faces: int = Field(default=64, ge=1, le=1024)  # more than that become a job
    most_faces: int = Field(default=10_000, ge=1, le=1_000_000)
    jobs_waiting: int = Field(default=16, ge=1, le=10_000)
    job_minutes: float = Field(default=60.0, gt=0)  # a result is kept that long

    json_kib: int = Field(default=64, ge=1)
    cast_kib: int = Field(default=4096, ge=1)  # of a cast list, as JSON or as a spreadsheet
    upload_mib: int = Field(default=20, ge=1, le=1024)
    upload_megapixels: int = Field(default=50, ge=1, le=120)
    uploads_mib: int = Field(default=256, ge=1)  # of all requests that are being received or worked on
    photos_mib: int = Field(default=1024, ge=1)  # decoded, of all requests that wait or are worked on
    header_seconds: float = Field(default=10.0, gt=0)  # for the head of a request to arrive
    upload_seconds: float = Field(default=30.0, gt=0)  # for its body
    stop_seconds: float = Field(default=30.0, gt=0)  # to finish what was accepted, when told to stop

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, given: str | None) -> str | None:
        if given is None:
            return None
        parts = urlsplit(given)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("wanted is a whole address, for example https://faces.example/mien")
        return given.rstrip("/")

    @property
    def public_path(self) -> str:
        """The path under which a reverse proxy offers it, ``/mien``; empty where there is none."""
        return urlsplit(self.address or "").path

    @property
    def cookie_path(self) -> str:
        """To which addresses of its host a browser sends the cookies of these pages."""
        return f"{self.public_path}/"

    def over_tls(self, scheme: str | None) -> bool:
        """Whether browsers reach it over TLS: as the address says, or else the scheme of a request."""
        return (urlsplit(self.address).scheme if self.address else scheme) == "https"

    @property
    def host_names(self) -> tuple[str, ...]:
        """The names of this server, in small letters, as browsers may call it."""
        return (*LOOPBACK_NAMES, self.host.lower(), urlsplit(self.address or "").hostname or "localhost")

    @property
    def on_loopback(self) -> bool:
        """Whether nobody but this machine can reach the service."""
        if self.host in LOOPBACK_NAMES:
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def access_keys(self, command: str = "serve") -> Keys | None:
        """The keys that open it; None: nobody is asked for one. ``RequestError`` for an address that others can reach
        without keys, and for a file that holds none; ``command`` makes keys.
        """
        if self.keys is not None:
            return Keys.read(self.keys)
        if not self.on_loopback:
            told = f"mien {command} --keys FILE --new-key NAME makes one"
            raise RequestError(f"--host: {self.host} can be reached by others, which needs --keys FILE ({told})")
        return None
