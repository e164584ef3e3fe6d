"""What is said of one face and of one photo: frozen records, and their sentence for people.

The sentence says only what is likely, nothing about what it is not: a noun by sex and age, the age, what catches the
eye, and where the head is turned. Left and right are those of the photo. Nothing about ethnicity or attractiveness is
ever said. *Whether* something is there is said by its label (``attributes`` and ``present``), *which one* it is by its
group: a group of eyewear was taught by photos labelled with some eyewear, and alone takes the thin frames that raters
left unlabelled for none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mien.core.records import Box, Face, Pose, Sex
from mien.faces.quality import PROFILE_YAW_DEGREES, Quality, Remark, remarks

SEX_SURE = 0.8  # probability from which on a sex is named
ETHNICITY = "ethnicity"  # the group that is off unless asked for
WHY_NO_ETHNICITY = (
    "Ethnicity is left out unless --with-ethnicity is given: nobody's origin can be seen, a guess about it can harm, "
    "and these four names are what raters of 2009 thought they saw on photographs of the famous, most of them White."
)
WHAT_ETHNICITY_IS = (
    "The four ethnicities are what raters of 2009 thought they saw on photographs of the famous, most of them White: "
    "nobody's origin can be seen, and a guess about it can harm."
)
SAY = 0.5  # probability from which on a label, or a class within its group, is said
SAY_EYEWEAR = 0.05  # of labelled glasses where no bare eyes are labelled: raters were seldom sure of thin frames
BEARD_BELOW = 0.2  # probability of No Beard under which there is a beard
SAY_GOATEE = 0.75  # within its group; below it a beard is a beard
BABY_YEARS, CHILD_YEARS, TEENAGE_YEARS = 3, 13, 18  # whole years at which the next noun begins
BEARD_YEARS = 15  # no beard is seen on younger faces
SLIGHTLY_DEGREES, CLEARLY_DEGREES = 10.0, 25.0  # of yaw and, less 5 for the jitter of a nod, of pitch
HEAD_TILT_DEGREES = 15.0

# Below which age (whole years), and the noun for female, male and unknown sex.
NOUNS: tuple[tuple[float, dict[Sex | None, str]], ...] = (
    (BABY_YEARS, {"female": "baby", "male": "baby", None: "baby"}),
    (CHILD_YEARS, {"female": "girl", "male": "boy", None: "child"}),
    (TEENAGE_YEARS, {"female": "teenage girl", "male": "teenage boy", None: "teenager"}),
    (float("inf"), {"female": "woman", "male": "man", None: "person"}),
)
PLURALS = {"baby": "babies", "woman": "women", "man": "men", "child": "children", "person": "people"}
COLOURS = {"Black Hair": "black", "Blond Hair": "blond", "Brown Hair": "brown", "Gray Hair": "grey"}
TEXTURES = {"Curly Hair": "curly", "Wavy Hair": "wavy", "Straight Hair": "straight"}
# Not the necklace: it lies mostly outside the crop, and is guessed from the rest.
WORN = (("Wearing Hat", "wearing a hat"), ("Wearing Earrings", "earrings"), ("Wearing Necktie", "necktie"))


@dataclass(frozen=True, slots=True)
class FaceDescription:
    """What a network says of one face: statements about a picture, not about a person."""

    face: Face
    box: Box  # around the mesh: forehead to chin, ear to ear, in photo pixels
    female: float  # probability in [0, 1]
    age_years: float  # how old the face looks
    attributes: Mapping[str, float]  # 73 names (69 without the ethnicities) -> calibrated probability
    present: frozenset[str]  # the names that weigh in as a yes when both kinds of errors count alike
    groups: Mapping[str, Mapping[str, float]]  # group -> class -> probability, each adding up to 1: which one it is
    pose: Pose
    quality: Quality

    @property
    def sex(self) -> Sex | None:
        """The sex that the face looks like; ``None`` where neither has a probability of ``SEX_SURE``."""
        if max(self.female, 1 - self.female) < SEX_SURE:
            return None
        return "female" if self.female > 0.5 else "male"

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What is poor about the picture of this face (``faces/quality``); empty for a good one."""
        return remarks(self.quality, self.pose)

    @property
    def noun(self) -> str:
        """``woman``, ``boy``, ``teenager``, ``person`` ..."""
        years = round(self.age_years)
        return next(nouns for below, nouns in NOUNS if years < below)[self.sex]

    @property
    def age_words(self) -> str:
        """``about 34``; under one and a half years ``about 1``."""
        return f"about {max(round(self.age_years), 1)}"

    @property
    def sex_words(self) -> str:
        """``female 97 %``, or ``sex unclear (female 61 %)``."""
        likely, p = ("female", self.female) if self.female >= 0.5 else ("male", 1 - self.female)
        words = f"{likely} {p * 100:.0f} %"
        return words if self.sex else f"sex unclear ({words})"

    @property
    def sentence(self) -> str:
        """``woman, about 34, smiling, brown wavy hair, no eyewear, looking slightly left``."""
        seen = (_expression(self), _hair(self), *_facial_hair(self), _eyewear(self), *_worn(self))
        return ", ".join(part for part in (self.noun, self.age_words, *seen, looking(self.pose)) if part)


@dataclass(frozen=True, slots=True)
class PhotoDescription:
    """All faces of one photo, the largest first; none where there is none."""

    width_px: int
    height_px: int
    faces: tuple[FaceDescription, ...]
    too_small: tuple[Box, ...]  # faces of fewer pixels than can be read
    model_version: str
    remark: str = ""  # what the file held beside the photo ("an animation: its first frame is read")


def counted(faces: tuple[FaceDescription, ...]) -> str:
    """``1 face (a baby)``, ``3 faces (2 women, a man)``, ``no face``."""
    if not faces:
        return "no face"
    kinds: dict[str, int] = {}
    for face in faces:
        kinds[face.noun] = kinds.get(face.noun, 0) + 1
    words = [f"a {kind}" if n == 1 else f"{n} {PLURALS.get(kind, f'{kind}s')}" for kind, n in kinds.items()]
    return f"{len(faces)} face{'s' if len(faces) > 1 else ''} ({', '.join(words)})"


def looking(head: Pose) -> str:
    """``looking straight ahead``, ``looking slightly left and up``, ``in profile to the right``, with a tilt if any."""
    yaw, pitch = head.yaw_degrees, head.pitch_degrees
    side = "right" if yaw > 0 else "left"
    up = "up" if pitch > 0 else "down"
    if abs(yaw) >= PROFILE_YAW_DEGREES:
        words = f"in profile to the {side}"
    else:
        turned, nodded = abs(yaw) >= SLIGHTLY_DEGREES, abs(pitch) >= SLIGHTLY_DEGREES + 5
        far = abs(yaw) >= CLEARLY_DEGREES or abs(pitch) >= CLEARLY_DEGREES
        where = " and ".join(word for word, yes in ((side, turned), (up, nodded)) if yes)
        words = f"looking {'' if far else 'slightly '}{where}" if where else "looking straight ahead"
    if abs(head.roll_degrees) < HEAD_TILT_DEGREES:
        return words
    return f"{words}, head tilted {'left' if head.roll_degrees > 0 else 'right'}"


def _likely(probabilities: Mapping[str, float], words: Mapping[str, str], least: float) -> str:
    best = max(probabilities, key=lambda name: probabilities[name])
    return words.get(best, "") if probabilities[best] >= least else ""


def _labelled(described: FaceDescription, name: str, least: float = SAY) -> bool:
    return name in described.present and described.attributes[name] >= least


def _expression(described: FaceDescription) -> str:
    probabilities = described.groups["expression"]
    name, words = max((("Smiling", "smiling"), ("Frowning", "frowning")), key=lambda pair: probabilities[pair[0]])
    seen = name in described.present and max(probabilities[name], described.attributes[name]) >= SAY
    return words if seen else ""


def _hair(described: FaceDescription) -> str:
    """``brown wavy hair``, ``bald`` (unless with curls); of a baby ``little hair``; nothing under a hat."""
    hair = described.groups["hair"]
    if _labelled(described, "Wearing Hat"):
        return ""
    if hair["Bald"] >= SAY and not any(name in described.present for name in TEXTURES):
        return "little hair" if round(described.age_years) < CHILD_YEARS else "bald"
    colour = "" if described.quality.grey else _likely(hair, COLOURS, SAY)
    texture = _likely(described.groups["hair texture"], TEXTURES, SAY)
    words = " ".join(word for word in (colour, texture) if word)
    return f"{words} hair" if words else ""


def _eyewear(described: FaceDescription) -> str:
    """``eyeglasses``, ``sunglasses``, ``no eyewear``; nothing where the labels leave it open."""
    if "No Eyewear" in described.present:
        return "no eyewear"
    worn = [name for name in ("Eyeglasses", "Sunglasses") if _labelled(described, name, SAY_EYEWEAR)]
    return max(worn, key=lambda name: described.groups["eyewear"][name]).lower() if worn else ""


def _facial_hair(described: FaceDescription) -> Iterator[str]:
    """Of men only: in faces of unclear sex shadows are taken for a beard."""
    if described.sex != "male" or round(described.age_years) < BEARD_YEARS:
        return
    bearded = described.attributes["No Beard"] < BEARD_BELOW
    goatee = described.groups["beard"]["Goatee"] >= SAY_GOATEE
    if bearded:
        yield "goatee" if goatee else "beard"
    if (goatee or not bearded) and _labelled(described, "Mustache"):
        yield "moustache"
    if not bearded and _labelled(described, "5 o' Clock Shadow"):
        yield "stubble"


def _worn(described: FaceDescription) -> Iterator[str]:
    for name, words in WORN:
        if _labelled(described, name):
            yield words
