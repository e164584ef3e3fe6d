"""The fixed vocabulary of why a photo is not used: one short word for the catalogue, one sentence for the report."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

Reason = Literal[
    # said by the source, before any pixel is read
    "bad_label_row",
    "unknown_label",
    "unknown_sex",
    "no_age",
    "age_out_of_range",
    "face_score_missing",
    "second_face_in_source",
    "bad_box",
    # said by a download
    "not_downloaded",
    "gone",
    "changed",
    "slow",
    "refused",
    # said by the pixels
    "missing",
    "empty",
    "not_an_image",
    "truncated",
    "too_large",
    "needs_heif",
    "too_small",
    "grey",
    "no_face",
    "several_faces",
    "no_face_in_box",
    "no_mesh",
    "bad_landmarks",
    "failed",
    "duplicate",
    # said by people
    "rejected",
]

_SENTENCES: dict[Reason, str] = {
    "bad_label_row": "its row in the label file, or its name where the name is the label, cannot be read",
    "unknown_label": "a label has a value that the format does not know",
    "unknown_sex": "the source does not say the sex, or says it in a way that the format does not know",
    "no_age": "no age: the birth date or the year of the photo is missing or impossible",
    "age_out_of_range": "the age is outside the range of the source's rules",
    "face_score_missing": "the source's own detector found no face",
    "second_face_in_source": "the source's own detector found a second face",
    "bad_box": "the face rectangle is empty, unreadable or outside the photo",
    "not_downloaded": "the link was not tried yet",
    "gone": "the link is dead: 404, 410, no such host, or the host does not answer",
    "changed": "another file is behind the link today: its MD5 differs",
    "slow": "the server took longer than the time allowed",
    "refused": "the server refused: an error other than 404 and 410, or more bytes than allowed",
    "missing": "the label file names it, but there is no such file",
    "empty": "the file has 0 bytes",
    "not_an_image": "the file is not an image",
    "truncated": "the image is damaged or cut short",
    "too_large": "the image has more pixels than are decoded",
    "needs_heif": "the photo is HEIC, and pillow-heif is not installed (pip install 'mien[heic]')",
    "too_small": "the photo is smaller than the source's rules ask for",
    "grey": "the photo has no colour, which the source's rules ask for",
    "no_face": "the detector found no face",
    "several_faces": "several faces, and nothing says which of them the labels mean",
    "no_face_in_box": "none of the faces that the detector found lies in the source's face rectangle",
    "no_mesh": "the detector found a face, but the face mesh does not lie on one",
    "bad_landmarks": "the landmarks do not span a face",
    "failed": "an error that nobody foresaw",
    "duplicate": "the same picture as another one that is kept",
    "rejected": "a reviewer took it out ('mien data review')",
}

REASONS: Mapping[Reason, str] = MappingProxyType({word: _SENTENCES[word] for word in get_args(Reason)})
"""Every reason with its sentence, in the order in which a photo can meet them."""
