"""What may be asked, as pydantic models, and what is said of a wrong request: one sentence, as on the command line."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

from mien.core.foreign import one_line
from mien.core.seeding import SEED_LIMIT

Format = Literal["json", "zip", "png"]


class Form(BaseModel):
    """Base of every request body: no unknown fields, and nothing taken for what it is not (false is no 0)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class FacesForm(Form):
    """What all requests for faces have in common."""

    count: int = Field(
        default=1, ge=1, description="How many faces; above the limit of direct requests it becomes a job."
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=SEED_LIMIT - 1,
        description="Face k of a seed is always the same; without one, the answer tells.",
    )
    first: int = Field(default=0, ge=0, le=SEED_LIMIT // 2 - 1, description="Number of the first face; needs a seed.")
    format: Format = Field(
        default="json", description="json: base64 PNGs; zip: PNGs and manifest.jsonl; png: one face."
    )


class CrowdForm(FacesForm):
    """Faces with the sex and age asked for."""

    sex: Literal["female", "male", "any"] = "any"
    age: str = Field(
        default="18-75", max_length=32, description="Years: one value (30) or a range (20-35), from 1 to 100."
    )
    race: str | None = Field(default=None, max_length=32, description="White, Black, Asian, Indian or Other.")
    words: Annotated[str, Field(max_length=2000)] = Field(default="", description="'smiling, eyeglasses, not bald'.")
    look: Literal["studio", "natural", "news", "any"] | None = Field(default=None, description="Of photographs.")
    size: Literal[128, 256] | None = Field(default=None, description="Height and width, px: 256, or 128.")


class CastForm(Form):
    """People of a cast list, a face or several for each row; many of them become a job."""

    rows: list[dict[str, str | int | float | None]] = Field(
        min_length=1, description="name, sex, age, words, race, look, seed, count; each may be left out."
    )
    seed: int | None = Field(default=None, ge=0, le=SEED_LIMIT - 1, description="Of rows that have none of their own.")
    size: Literal[128, 256] | None = Field(default=None, description="Height and width, px, as for a crowd.")
    format: Literal["json", "zip"] = Field(default="json", description="json: base64 PNGs; zip: PNGs and manifest.")


class ImagineForm(FacesForm):
    """Faces from words."""

    words: str = Field(default="", max_length=2000, description="What the face is like: 'smiling, woman, brown hair'.")
    avoid: str = Field(default="", max_length=2000, description="What the face is not like: 'mustache, hat'.")
    age: str | None = Field(default=None, max_length=32, description="Years: one value (30) or a range (20-35).")
    typical: bool = Field(default=False, description="What is not mentioned stays average, instead of as in the data.")
    size: Literal[128, 256] | None = Field(default=None, description="Height and width, px: 256, or 128 (as drawn).")


class Refusal(BaseModel):
    """Why a request was not answered."""

    error: str = Field(description="One sentence: what was given, what is allowed.")


class FaceMade(BaseModel):
    """One face."""

    model_config = ConfigDict(extra="allow")
    file: str
    seed: int
    index: int
    model: str
    model_version: str
    png: str = Field(description="The PNG, base64.")


class Reading(BaseModel):
    """What the words of a request were taken for."""

    understood: str = Field(
        default="", description="What was understood: 'woman, smiling, eyeglasses'; empty without words."
    )
    left_out: str = Field(default="", description="What was not, with words near it; empty where all was understood.")


class FacesMade(Reading):
    """The faces that were asked for, in order."""

    seed: int
    first: int
    faces: list[FaceMade]


class JobMade(BaseModel):
    """A large request that is worked on behind the scenes."""

    id: str
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    count: int
    made: int
    seed: int
    first: int
    created: float = Field(description="Seconds since 1970.")
    expires: float | None = Field(description="When the result is forgotten; null while it is being made.")
    error: str | None
    status_url: str
    result_url: str | None = Field(description="Where the zip is, once it is done.")


class JobBegun(JobMade, Reading):
    """A job that was just made, and what its words were taken for."""


def limited(form: type[Form], most_faces: int) -> type[Form]:
    """A form whose ``count`` ends at this service's limit."""
    field = Field(default=1, ge=1, le=most_faces, description=FacesForm.model_fields["count"].description)
    made: type[Form] = create_model(form.__name__, __base__=form, __doc__=form.__doc__, count=(int, field))
    return made


def sentence(errors: Sequence[Mapping[str, Any]], form: type[Form] | None = None) -> str:
    """The first of pydantic's errors as one line: the field, what was given, what is allowed."""
    first = errors[0]
    place = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
    name, given, context = ".".join(place) or "body", reprlib.repr(first.get("input")), first.get("ctx", {})
    fields = form.model_fields if form else {}
    kind = str(first["type"])
    if kind == "json_invalid":
        return f"body: not JSON ({context.get('error', 'unreadable')})"
    if kind == "model_attributes_type":
        return f"{name}: {given} given; a JSON object is wanted"
    if kind == "missing":
        return f"{name}: not given"
    if kind == "extra_forbidden":
        return f"{name}: no such field; allowed: {', '.join(fields)}"
    if kind == "literal_error":
        allowed = re.sub(r"'([^']*)'", r"\1", str(context["expected"])).replace(" or ", ", ")
        return f"{name}: {given} given; allowed: {allowed}"
    if kind in ("greater_than_equal", "less_than_equal"):
        return f"{name}: {given} given; allowed are {_range(fields.get(name))}"
    said = str(first["msg"])
    return f"{name}: {given} given; {said[:1].lower()}{said[1:]}"


def _range(field: FieldInfo | None) -> str:
    """'1 to 100', '1 and more'."""
    limits = field.metadata if field else []
    least = next((limit.ge for limit in limits if hasattr(limit, "ge")), None)
    most = next((limit.le for limit in limits if hasattr(limit, "le")), None)
    return f"{least} to {most}" if most is not None else f"{least} and more"


def plain(message: str) -> str:
    """A sentence of the command line without its dashes: '--age: ...' -> 'age: ...', '--with' -> 'words'."""
    text = one_line(message)
    for option, field in (("WORDS and --avoid", "words and avoid"), ("WORDS", "words"), ("--with", "words")):
        if text.startswith(f"{option}:"):
            text = field + text.removeprefix(option)
    return re.sub(r"(?<![\w-])--(?=[a-z])", "", text)
