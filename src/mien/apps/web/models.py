"""What the service can make: one entry of ``MODEL_SPECS`` each. A new way in is one entry and its two functions.

A model of *faces* turns a form into a ``FacesRequest`` and requests into pictures with their rows; one that reads a
*photo* turns a ``PhotoJob`` into JSON or into pictures. Whatever cannot be loaded answers 503 with its sentence.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mien.apps.web.cast import CastPiece
from mien.apps.web.forms import CrowdForm, FacesForm, Form, ImagineForm
from mien.core.errors import PhotoError, RequestError
from mien.core.records import UInt8Image
from mien.core.seeding import fresh_seed
from mien.pipelines.pictures import Picture

if TYPE_CHECKING:
    from mien.pipelines.photo_edit import PhotoEditRequest
    from mien.pipelines.request import FacesRequest, Read

RENEW_SEED_AFTER = 2**20  # faces
WHITE = (255, 255, 255)
EXAMPLE = '"a smiling woman with brown hair"'


@dataclass(frozen=True, slots=True)
class PhotoJob:
    """One photo (H W 3 uint8 RGB) and the options of the request."""

    photo: UInt8Image
    options: Mapping[str, Any]
    remark: str = ""  # what the upload held beside the photo


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One way in. ``make`` answers each job: pictures (faces), or a JSON object (photo), or an exception."""

    name: str
    takes: Literal["faces", "photo"]
    summary: str
    load: Callable[[], Any]
    make: Callable[[Any, Sequence[Any]], Sequence[Any]]
    form: type[Form] | None = None
    read: Callable[[Any], Read] | None = None  # form -> request, and what was understood; or RequestError
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)  # yes-or-no options of a photo, and their help
    texts: Mapping[str, str] = dataclasses.field(default_factory=dict)  # the others: words, and their help
    check: Callable[[Mapping[str, Any]], object] | None = None  # of such options, before the photo is decoded


class Seeds:
    """Seeds for requests that name none: one seed, and the next faces of it, so that they fill whole batches."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seed, self._next = fresh_seed(), 0

    def take(self, count: int) -> tuple[int, int]:
        """(seed, first) of ``count`` faces that nobody else gets."""
        with self._lock:
            if self._next >= RENEW_SEED_AFTER:
                self._seed, self._next = fresh_seed(), 0
            first = self._next
            self._next += count
            return self._seed, first


def read_form(spec: ModelSpec, form: FacesForm, seeds: Seeds) -> Read:
    """A checked form as a request with a seed. ``RequestError`` says what is wrong, as the command line does."""
    if form.seed is None and form.first:
        raise RequestError(f"first: {form.first} given without a seed; give both or neither")
    assert spec.read is not None
    read = spec.read(form)
    seed, first = seeds.take(form.count) if form.seed is None else (form.seed, form.first)
    size = getattr(form, "size", None)
    request = dataclasses.replace(read.request, count=form.count, seed=seed, first=first, size_px=size)
    return dataclasses.replace(read, request=request)


def read_crowd(form: CrowdForm) -> Read:
    """The request of a form."""
    from mien.pipelines.crowd import check_preset
    from mien.pipelines.request import crowd_request

    read = crowd_request(form.words, sex=form.sex, age=form.age, race=form.race, option="words")
    check_preset("painter", read.request)
    return dataclasses.replace(read, request=dataclasses.replace(read.request, look=form.look))


def make_crowd(crowd: Any, jobs: Sequence[FacesRequest | CastPiece]) -> list[list[Picture]]:
    """All faces of all requests and pieces of cast lists, made together."""
    from mien.pipelines.crowd import crowds
    from mien.pipelines.pictures import face_row

    requests = [one for job in jobs for one in (job.requests if isinstance(job, CastPiece) else (job,))]
    pages = ([Picture(face.image, face_row(face)) for face in faces] for faces in crowds(crowd, requests))
    return [job.told([next(pages) for _ in job.requests]) if isinstance(job, CastPiece) else next(pages)
            for job in jobs]  # fmt: skip


def load_crowd() -> Any:
    """The crowd of the package, warmed up."""
    import mien

    crowd = mien.load("crowd")
    crowd.sample(1, seed=0)
    read_crowd(CrowdForm())  # the first request need not wait for what reading it imports
    return crowd


def read_imagine(form: ImagineForm) -> Read:
    """The request of a form."""
    from mien.pipelines.request import imagine_request

    read = imagine_request(
        form.words, avoid=form.avoid, age=form.age, typical=form.typical, option="words", avoid_option="avoid"
    )
    described = read.request.description
    if not described.attributes and described.ages_years is None:
        raise RequestError(f"words: none given; say what the face is like, for example {EXAMPLE}")
    return read


def make_imagine(imagine: Any, requests: Sequence[FacesRequest]) -> list[Any]:
    """Each request by itself: its description is compiled once."""
    from mien.pipelines.imagine import imagined

    return [_attempt(imagined, imagine, request) for request in requests]


def load_imagine() -> Any:
    """The density and its decoder."""
    import mien

    read_imagine(ImagineForm.model_validate({"words": "smiling"}))  # as in load_crowd
    return mien.load("imagine")


def load_describe() -> Any:
    """The detector, the mesh and the heads."""
    import mien

    return mien.load("describe")


def make_described(describer: Any, jobs: Sequence[PhotoJob]) -> list[Any]:
    """What `mien describe --json` says of each photo."""
    return [_attempt(_described, describer, job) for job in jobs]


def _described(describer: Any, job: PhotoJob) -> dict[str, Any]:
    from mien.core.photos import PhotoFile
    from mien.pipelines.describe import describe_photo

    with_ethnicity = bool(job.options.get("with_ethnicity"))
    return describe_photo(describer, PhotoFile(job.photo, "", job.remark), with_ethnicity=with_ethnicity).row


def load_portrait() -> Any:
    """The finder, the encoder and the drawer of portraits."""
    from mien.pipelines.portrait_model import PortraitPipeline

    return PortraitPipeline.load()


def make_portraits(pipeline: Any, jobs: Sequence[PhotoJob]) -> list[Any]:
    """One picture for each face of each photo, the largest first, on white."""
    return [_attempt(_portraits, pipeline, job) for job in jobs]


def _portraits(pipeline: Any, job: PhotoJob) -> list[Picture]:
    from mien.pipelines.portrait import ABOUT, SIZE_PX

    faces = pipeline.faces(job.photo, largest=bool(job.options.get("largest")))
    if not faces:
        raise PhotoError("no_face", "photo: no face found; is it upright?")
    found = [pipeline.portrait(job.photo, face, SIZE_PX) for face in faces]
    return [Picture(one.on(WHITE), one.row(k, "photo", k), ABOUT) for k, one in enumerate(found)]


def load_edit() -> Any:
    """The finder, the encoder and the painter."""
    from mien.pipelines.photo_edit_model import PhotoEditPipeline

    return PhotoEditPipeline.load()


def read_edit(options: Mapping[str, Any], photo: Any = b"") -> PhotoEditRequest:
    """The request of an address. ``RequestError`` says what is wrong, as the command line does."""
    from mien.pipelines.photo_edit import read_request

    said = {name: str(options.get(name) or "") for name in EDIT_TEXTS}
    ages = (said["age"],) if said["age"] else ()
    return read_request(
        photo, said["words"], avoid=said["avoid"], ages=ages, sex=said["sex"] or None, option="words",
        whole=not options.get("crop"),
    )  # fmt: skip


def make_edits(pipeline: Any, jobs: Sequence[PhotoJob]) -> list[Any]:
    """One picture for each photo: its largest face changed."""
    return [_attempt(_edited, pipeline, job) for job in jobs]


def _edited(pipeline: Any, job: PhotoJob) -> list[Picture]:
    from mien.pipelines.photo_edit_out import picture_of

    return [picture_of(made, k) for k, made in enumerate(pipeline.edits(read_edit(job.options, job.photo)))]


def _attempt(make: Callable[[Any, Any], Any], model: Any, job: Any) -> Any:
    """An answer, or the error of this job alone."""
    try:
        return make(model, job)
    except Exception as error:  # handed to the one request that it belongs to
        return error


WITH_ETHNICITY = "Also four names of ethnicities. Off: nobody's origin can be seen, and a guess about it can harm."
EDIT_TEXTS = {
    "words": "What is to be seen: 'smiling, no glasses'.", "avoid": "What is not to be seen: 'mustache, hat'.",
    "age": "Years: one value (60) or a range (60-70).", "sex": "female or male.",
}  # fmt: skip
MODEL_SPECS = (
    ModelSpec("crowd", "faces", "Faces with the sex and age asked for", load_crowd, make_crowd, CrowdForm, read_crowd),
    ModelSpec("imagine", "faces", "Faces from words", load_imagine, make_imagine, ImagineForm, read_imagine),
    ModelSpec("describe", "photo", "What can be said of the faces on a photo", load_describe, make_described,
          options={"with_ethnicity": WITH_ETHNICITY}),
    ModelSpec("portrait", "photo", "One frontal face for each face on a photo", load_portrait, make_portraits,
          options={"largest": "Only the largest face."}),
    ModelSpec("edit", "photo", "A photo with its largest face changed", load_edit, make_edits,
          options={"crop": "Only the square around the face."}, texts=EDIT_TEXTS, check=read_edit),
)  # fmt: skip


def chosen(names: Sequence[str]) -> tuple[ModelSpec, ...]:
    """The models of those names; all where there are none. ``RequestError`` for a name that there is not."""
    known = {spec.name: spec for spec in MODEL_SPECS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise RequestError(f"--only: '{unknown[0]}' given; allowed: {', '.join(known)}")
    return tuple(known[name] for name in names) if names else MODEL_SPECS
