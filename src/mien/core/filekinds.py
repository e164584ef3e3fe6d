"""What a file is that was given for something else, by its first bytes: a saved web page, a film, an archive."""

from __future__ import annotations

import re

LOOKED_AT = 2048  # bytes
_TEXTS = (
    (rb"<!doctype html|<html|<head|<body", "an HTML page, perhaps of a download that was refused"),
    (rb"version https://git-lfs", "a pointer of Git LFS: `git lfs pull` brings the file itself"),
    (rb"(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?(?:<!doctype svg[^>]*>\s*)?<svg", "an SVG drawing"),
    (rb"data:[a-z]+/", "the text of a data: address, not the bytes it stands for"),
    (rb"%!ps", "PostScript"),
    (rb"[{\[]\s*[\"{\[\d\]}]", "JSON"),
)
_STARTS = (
    (b"%PDF", "a PDF"), (b"8BPS", "a Photoshop file"), (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n", "JPEG XL"), (b"\x76\x2f\x31\x01", "OpenEXR"), (b"\0\0\x01\0", "an icon"),
    (b"DDS ", "a texture (DDS)"), (b"gimp xcf", "a GIMP file"), (b"#?RADIANCE", "a Radiance picture"),
    (b"FUJIFILMCCD-RAW", "a raw photo of a camera"), (b"IIRO", "a raw photo of a camera"),
    (b"IIU\0", "a raw photo of a camera"), (b"\x1aE\xdf\xa3", "a film"), (b"\0\0\x01\xba", "a film"),
    (b"\x1f\x8b", "an archive"), (b"7z\xbc\xaf", "an archive"), (b"Rar!", "an archive"), (b"BZh", "an archive"),
    (b"\xfd7zXZ", "an archive"), (b"\x80\x02", "a pickle of Python"), (b"\x80\x04", "a pickle of Python"),
    (b"\x89HDF", "HDF5"), (b"\xd0\xcf\x11\xe0", "an old Office document"), (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)  # fmt: skip
_MOST_OF_A_FILM = (b"isom", b"mp4", b"M4V", b"qt  ", b"iso", b"avc1", b"3gp", b"MSNV")


def what_it_is(data: bytes) -> str:
    """'an HTML page, ...', 'a PDF'; empty where its first bytes say nothing that is known."""
    head = data[:LOOKED_AT]
    if head and not head.strip(b"\0"):
        return "nothing but zeros, perhaps of a copy that was broken off"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for pattern, name in _TEXTS:
        if re.match(pattern, text, re.IGNORECASE | re.DOTALL):
            return name
    if head.startswith(b"PK\x03\x04"):
        return "a pickle of PyTorch" if b"/data.pkl" in head else "an archive (zip), or an Office document"
    if head[4:8] == b"ftyp":
        return "a raw photo of a camera" if head[8:12] == b"crx " else "a film" if _is_film(head) else ""
    if head[257:262] == b"ustar":
        return "an archive"
    return next((name for start, name in _STARTS if head.startswith(start)), "")


def _is_film(head: bytes) -> bool:
    return head[8:12].startswith(_MOST_OF_A_FILM)
