"""One face in one sentence, for people: only what is likely, nothing about what it is not.

A noun by sex and age, the age, what catches the eye, and where the head is turned: "woman, about 34, smiling, brown
wavy hair, no eyewear, looking slightly left". Left and right are those of the photo. Nothing about ethnicity or
attractiveness is ever said here.

*Whether* something is there is said by its mark (``attributes`` and ``present``), *which one* it is by its group: a
group of eyewear was taught by photos marked with some eyewear, and alone takes the thin frames that raters left
unmarked for none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mien.attributes.describe.records import FaceDescription
from mien.core.records import Pose, Sex
from mien.faces.quality import PROFILE_YAW_DEGREES

SAY = 0.5  # probability from which on a mark, or a class within its group, is said
SAY_EYEWEAR = 0.05  # of marked glasses where no bare eyes are marked: raters were seldom sure of thin frames
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


def sentence(described: FaceDescription) -> str:
    """The sentence, without capital and full stop."""
    return ", ".join(
        part
        for part in (
            noun(described),
            age(described.age_years),
            _expression(described),
            _hair(described),
            *_facial_hair(described),
            _eyewear(described),
            *_worn(described),
            looking(described.pose),
        )
        if part
    )


def noun(described: FaceDescription) -> str:
    """``woman``, ``boy``, ``teenager``, ``person`` ..."""
    years = round(described.age_years)
    return next(nouns for below, nouns in NOUNS if years < below)[described.sex]


def age(years: float) -> str:
    """``about 34``; under one and a half years ``about 1``."""
    return f"about {max(round(years), 1)}"


def sex_words(described: FaceDescription) -> str:
    """``female 97 %``, or ``sex unclear (female 61 %)``."""
    likely, p = ("female", described.female) if described.female >= 0.5 else ("male", 1 - described.female)
    words = f"{likely} {p * 100:.0f} %"
    return words if described.sex else f"sex unclear ({words})"


def counted(faces: tuple[FaceDescription, ...]) -> str:
    """``1 face (a baby)``, ``3 faces (2 women, a man)``, ``no face``."""
    if not faces:
        return "no face"
    kinds: dict[str, int] = {}
    for face in faces:
        kinds[noun(face)] = kinds.get(noun(face), 0) + 1
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


def _likely(chances: Mapping[str, float], words: Mapping[str, str], least: float) -> str:
    best = max(chances, key=lambda name: chances[name])
    return words.get(best, "") if chances[best] >= least else ""


def _marked(described: FaceDescription, name: str, least: float = SAY) -> bool:
    return name in described.present and described.attributes[name] >= least


def _expression(described: FaceDescription) -> str:
    chances = described.groups["expression"]
    name, words = max((("Smiling", "smiling"), ("Frowning", "frowning")), key=lambda pair: chances[pair[0]])
    seen = name in described.present and max(chances[name], described.attributes[name]) >= SAY
    return words if seen else ""


def _hair(described: FaceDescription) -> str:
    """``brown wavy hair``, ``bald`` (unless with curls); of a baby ``little hair``; nothing under a hat."""
    hair = described.groups["hair"]
    if _marked(described, "Wearing Hat"):
        return ""
    if hair["Bald"] >= SAY and not any(name in described.present for name in TEXTURES):
        return "little hair" if round(described.age_years) < CHILD_YEARS else "bald"
    colour = "" if described.quality.grey else _likely(hair, COLOURS, SAY)
    texture = _likely(described.groups["hair texture"], TEXTURES, SAY)
    words = " ".join(word for word in (colour, texture) if word)
    return f"{words} hair" if words else ""


def _eyewear(described: FaceDescription) -> str:
    """``eyeglasses``, ``sunglasses``, ``no eyewear``; nothing where the marks leave it open."""
    if "No Eyewear" in described.present:
        return "no eyewear"
    worn = [name for name in ("Eyeglasses", "Sunglasses") if _marked(described, name, SAY_EYEWEAR)]
    return max(worn, key=lambda name: described.groups["eyewear"][name]).lower() if worn else ""


def _facial_hair(described: FaceDescription) -> Iterator[str]:
    """Of men only: in faces of unclear sex shadows are taken for a beard."""
    if described.sex != "male" or round(described.age_years) < BEARD_YEARS:
        return
    bearded = described.attributes["No Beard"] < BEARD_BELOW
    goatee = described.groups["beard"]["Goatee"] >= SAY_GOATEE
    if bearded:
        yield "goatee" if goatee else "beard"
    if (goatee or not bearded) and _marked(described, "Mustache"):
        yield "moustache"
    if not bearded and _marked(described, "5 o' Clock Shadow"):
        yield "stubble"


def _worn(described: FaceDescription) -> Iterator[str]:
    for name, words in WORN:
        if _marked(described, name):
            yield words
