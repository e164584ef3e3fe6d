"""What the service can make: one entry of ``MODEL_SPECS`` each. A new way in is one entry and its two functions.

A maker of *faces* turns a form into a ``FacesJob`` and orders into pictures with their rows; a maker that reads a
*photo* turns a ``PhotoJob`` into JSON or into pictures. Whatever cannot be loaded answers 503 with its sentence.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from mien.apps.web.forms import CrowdForm, FacesForm, Form, ImagineForm
from mien.core.errors import PhotoError, RequestError
from mien.core.records import UInt8Image
from mien.core.seeding import fresh_seed
from mien.pipelines.pictures import COMMENT

RENEW_SEED_AFTER = 2**20  # faces
WHITE = (255, 255, 255)
EXAMPLE = '"a smiling woman with brown hair"'


@dataclass(frozen=True, slots=True)
class FacesJob:
    """Faces ``first`` to ``first + count - 1`` of ``seed`` that fulfil a wish (what a wish is, its maker knows)."""

    seed: int
    first: int
    count: int
    wish: Any
    size_px: int | None = None  # None: the maker decides

    def piece(self, start: int, count: int) -> FacesJob:
        """``count`` of them, from number ``start`` of the order."""
        return dataclasses.replace(self, first=self.first + start, count=count)


@dataclass(frozen=True, slots=True)
class PhotoJob:
    """One photo (H W 3 uint8 RGB) and the options of the request."""

    photo: UInt8Image
    options: Mapping[str, Any]
    remark: str = ""  # what the upload held beside the photo


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and its row of the manifest (with ``file``, ``model`` and ``model_version``)."""

    image: UInt8Image
    row: dict[str, Any]
    comment: str = COMMENT


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One way in. ``make`` answers each order: pictures (faces), or a JSON object (photo), or an exception."""

    name: str
    takes: Literal["faces", "photo"]
    summary: str
    load: Callable[[], Any]
    make: Callable[[Any, Sequence[Any]], Sequence[Any]]
    form: type[Form] | None = None
    wish: Callable[[Any], Any] | None = None  # form -> wish, or RequestError
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)  # yes-or-no options of a photo, and their help


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


def order_of(maker: ModelSpec, form: FacesForm, seeds: Seeds) -> FacesJob:
    """A checked form as an order. ``RequestError`` says what is wrong, as the command line does."""
    if form.seed is None and form.first:
        raise RequestError(f"first: {form.first} given without a seed; give both or neither")
    wish = maker.wish(form) if maker.wish else form
    seed, first = seeds.take(form.count) if form.seed is None else (form.seed, form.first)
    return FacesJob(seed, first, form.count, wish, getattr(form, "size", None))


def crowd_wish(form: CrowdForm) -> Any:
    """The request of a form (``pipelines.request.FacesRequest``)."""
    from mien.pipelines.crowd import check_preset
    from mien.pipelines.request import crowd_request

    read = crowd_request(form.words, sex=form.sex, age=form.age, race=form.race, option="words")
    check_preset("mien", read.request)
    return read.request


def make_crowd(crowd: Any, orders: Sequence[FacesJob]) -> list[list[Picture]]:
    """All faces of all orders in one go of the generator for each size."""
    from mien.generators.crowd.sampler import age_range, request_for
    from mien.pipelines.pictures import face_row

    pages: list[list[Picture]] = [[] for _ in orders]
    for size in {order.size_px for order in orders}:
        places = [place for place, order in enumerate(orders) if order.size_px == size]
        requests = []
        for order in (orders[place] for place in places):
            wanted = order.wish
            ages = age_range(wanted.description.ages_years)
            requests += [request_for(wanted.labels, ages, order.seed, order.first + k) for k in range(order.count)]
        makes = crowd if size is None else crowd.at(size)
        made = iter(makes.generator.make(requests))
        for place in places:
            pages[place] = [Picture(face.image, face_row(face)) for face in islice(made, orders[place].count)]
    return pages


def load_crowd() -> Any:
    """The crowd of the package, warmed up."""
    import mien

    crowd = mien.load("crowd")
    crowd.sample(1, seed=0)
    crowd_wish(CrowdForm())  # the first request need not wait for what reading it imports
    return crowd


def imagine_wish(form: ImagineForm) -> Any:
    """The request of a form (``pipelines.request.FacesRequest``)."""
    from mien.pipelines.request import imagine_request

    read = imagine_request(
        form.words, avoid=form.avoid, age=form.age, typical=form.typical, option="words", avoid_option="avoid"
    )
    described = read.request.description
    if not described.attributes and described.ages_years is None:
        raise RequestError(f"words: none given; say what the face is like, for example {EXAMPLE}")
    return read.request


def make_imagine(imagine: Any, orders: Sequence[FacesJob]) -> list[Any]:
    """Each order by itself: its wish is one plan of the density."""
    return [_attempt(_imagined, imagine, order) for order in orders]


def _imagined(imagine: Any, order: FacesJob) -> list[Picture]:
    from mien.generators.imagine.density import Wish

    asked = order.wish
    wish = Wish(asked.description.attributes, asked.description.ages_years, asked.typical)
    imagine = imagine if order.size_px is None else imagine.at(order.size_px)
    about = {"model": imagine.name, "model_version": imagine.version, "attributes": dict(wish.attributes)}
    if wish.ages_years is not None:
        about["age"] = list(wish.ages_years)
    made = imagine.sample(wish, order.count, seed=order.seed, first=order.first)
    return [
        Picture(face.image, {"file": f"{face.index:05d}.png", "seed": face.seed, "index": face.index, **about})
        for face in made
    ]


def load_imagine() -> Any:
    """The density and its decoder."""
    from mien.generators.imagine.mien import Imagine

    imagine_wish(ImagineForm.model_validate({"words": "smiling"}))  # as in load_crowd
    return Imagine.load()


def load_describe() -> Any:
    """The detector, the mesh and the heads."""
    import mien

    return mien.load("describe")


def make_described(describer: Any, orders: Sequence[PhotoJob]) -> list[Any]:
    """What `mien describe --json` says of each photo."""
    return [_attempt(_described, describer, order) for order in orders]


def _described(describer: Any, order: PhotoJob) -> dict[str, Any]:
    from mien.core.photos import PhotoFile
    from mien.pipelines.describe import describe_photo

    with_ethnicity = bool(order.options.get("with_ethnicity"))
    return describe_photo(describer, PhotoFile(order.photo, "", order.remark), with_ethnicity=with_ethnicity).row


def load_portrait() -> Any:
    """The finder, the encoder and the drawer of portraits."""
    from mien.pipelines.portrait_model import PortraitPipeline

    return PortraitPipeline.load()


def make_portraits(maker: Any, orders: Sequence[PhotoJob]) -> list[Any]:
    """One picture for each face of each photo, the largest first, on white."""
    return [_attempt(_portraits, maker, order) for order in orders]


def _portraits(maker: Any, order: PhotoJob) -> list[Picture]:
    from mien.pipelines.portrait import ABOUT, SIZE_PX

    faces = maker.faces(order.photo, largest=bool(order.options.get("largest")))
    if not faces:
        raise PhotoError("no_face", "photo: no face found")
    found = [maker.portrait(order.photo, face, SIZE_PX) for face in faces]
    return [Picture(one.on(WHITE), one.row(k, "photo", k), ABOUT) for k, one in enumerate(found)]


def _attempt(make: Callable[[Any, Any], Any], model: Any, order: Any) -> Any:
    """An answer, or the error of this order alone."""
    try:
        return make(model, order)
    except Exception as error:  # handed to the one request that it belongs to
        return error


WITH_ETHNICITY = "Also four names of ethnicities. Off: nobody's origin can be seen, and a guess about it can harm."
MODEL_SPECS = (
    ModelSpec("crowd", "faces", "Faces with the sex and age asked for", load_crowd, make_crowd, CrowdForm, crowd_wish),
    ModelSpec("imagine", "faces", "Faces from words", load_imagine, make_imagine, ImagineForm, imagine_wish),
    ModelSpec("describe", "photo", "What can be said of the faces on a photo", load_describe, make_described,
          options={"with_ethnicity": WITH_ETHNICITY}),
    ModelSpec("portrait", "photo", "One frontal face for each face on a photo", load_portrait, make_portraits,
          options={"largest": "Only the largest face."}),
)  # fmt: skip


def chosen(names: Sequence[str]) -> tuple[ModelSpec, ...]:
    """The makers of those names; all where there are none. ``RequestError`` for a name that there is not."""
    known = {maker.name: maker for maker in MODEL_SPECS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise RequestError(f"--only: '{unknown[0]}' given; allowed: {', '.join(known)}")
    return tuple(known[name] for name in names) if names else MODEL_SPECS
