"""Where the npm registry keeps an archive: its address stands in the registry's JSON of the version.

The registry is the one that npm is told to use (``NPM_CONFIG_REGISTRY``, ``registry=`` in ``~/.npmrc``), else
npmjs.org's. npm itself is neither needed nor asked, and no login: where a registry wants one, ``--from FILE`` remains.
"""

from __future__ import annotations

import json
import os
import urllib.parse
from pathlib import Path

from mien.core.errors import FetchError
from mien.pretrained.catalogue import ForeignModel

NPMJS = "https://registry.npmjs.org"


def registry_url() -> str:
    """The registry that npm would ask, without a slash at the end."""
    return (_variable("NPM_CONFIG_REGISTRY") or _configured() or NPMJS).rstrip("/")


def page_url(model: ForeignModel) -> str:
    """Where the registry describes the version of ``model``."""
    return f"{registry_url()}/{urllib.parse.quote(model.package, safe='@')}/{model.version}"


def archive_url(page: str, body: str) -> str:
    """The archive's address in what the registry answered at ``page``; ``FetchError`` when it says none.

    A mirror may repeat npmjs.org's addresses: like npm, the file is then asked of the mirror that was configured.
    """
    try:
        address: str = json.loads(body)["dist"]["tarball"]
        parts = urllib.parse.urlsplit(urllib.parse.urljoin(page, address))
    except (ValueError, KeyError, TypeError) as error:
        raise FetchError("its answer is not that of an npm registry") from error
    if parts.scheme not in ("http", "https"):
        raise FetchError(f"its answer names an archive at {parts.scheme}:, wanted http or https")
    if parts.hostname == urllib.parse.urlsplit(NPMJS).hostname:
        return registry_url() + parts.path
    return parts.geturl()


def _variable(name: str) -> str | None:
    """A setting of npm in the environment: in capitals or, as npm itself hands it to its scripts, in small letters."""
    return os.environ.get(name) or os.environ.get(name.lower()) or None


def _configured() -> str | None:
    """``registry=`` of the user's ``.npmrc`` (``NPM_CONFIG_USERCONFIG`` may name another file), or None."""
    named = _variable("NPM_CONFIG_USERCONFIG")
    file = Path(named) if named else Path.home() / ".npmrc"
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    found = None
    for line in lines:
        key, _, value = line.partition("=")
        if key.strip() == "registry" and value.strip():
            found = os.path.expandvars(value.strip().strip("\"'"))  # npm, too, puts in ${VARIABLES}
    return found
