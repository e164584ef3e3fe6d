"""What people say of a face beyond the vocabulary: nouns that say two things, degrees, and words that say nothing."""

from __future__ import annotations

from collections.abc import Mapping

Meaning = tuple[tuple[str, bool], ...]  # the first is said; the others are implied, and give way to what is said

# Other phrase -> meaning. Plain form: lower case, blanks for hyphens and apostrophes.
PHRASES: Mapping[str, Meaning] = {
    "girl": (("Male", False), ("Child", True)), "boy": (("Male", True), ("Child", True)),
    "little girl": (("Child", True), ("Male", False)), "little boy": (("Child", True), ("Male", True)),
    "young girl": (("Child", True), ("Male", False)), "young boy": (("Child", True), ("Male", True)),
    "baby girl": (("Baby", True), ("Male", False)), "baby boy": (("Baby", True), ("Male", True)),
    "lady": (("Male", False),), "gentleman": (("Male", True),), "guy": (("Male", True),),
    "women": (("Male", False),), "men": (("Male", True),), "children": (("Child", True),),
    "feminine": (("Male", False),), "masculine": (("Male", True),),
    "grandmother": (("Male", False), ("Senior", True)), "grandma": (("Male", False), ("Senior", True)),
    "grandfather": (("Male", True), ("Senior", True)), "grandpa": (("Male", True), ("Senior", True)),
    "granny": (("Male", False), ("Senior", True)), "toddler": (("Baby", True),), "newborn": (("Baby", True),),
    "teenager": (("Youth", True),), "teen": (("Youth", True),), "teenage": (("Youth", True),),
    "younger": (("Youth", True),), "older": (("Senior", True),),
    "happy": (("Smiling", True),), "cheerful": (("Smiling", True),), "grinning": (("Smiling", True),),
    "grin": (("Smiling", True),), "laughing": (("Smiling", True), ("Mouth Wide Open", True)),
    "sad": (("Frowning", True),), "angry": (("Frowning", True),), "grumpy": (("Frowning", True),),
    "serious": (("Smiling", False),), "unsmiling": (("Smiling", False),),
    "showing teeth": (("Teeth Not Visible", False),), "with teeth": (("Teeth Not Visible", False),),
    "redhead": (), "ginger": (),  # no such colour in the vocabulary; better said than taken for something else
    "fair hair": (("Blond Hair", True),), "silver hair": (("Gray Hair", True),), "hairless": (("Bald", True),),
    "grey beard": (("No Beard", False), ("Gray Hair", True)), "gray beard": (("No Beard", False), ("Gray Hair", True)),
    "white beard": (("No Beard", False), ("Gray Hair", True)),
    "facial hair": (("No Beard", False),), "unshaven": (("5 o' Clock Shadow", True),),
    "stubbly": (("5 o' Clock Shadow", True),), "shaven": (("No Beard", True),), "shaved": (("No Beard", True),),
    "bespectacled": (("Eyeglasses", True),), "reading glasses": (("Eyeglasses", True),),
    "hatless": (("Wearing Hat", False),), "bareheaded": (("Wearing Hat", False),),
    "headwear": (("Wearing Hat", True),), "beanie": (("Wearing Hat", True),),
    "made up": (("Heavy Makeup", True),), "rouge": (("Rosy Cheeks", True),), "red cheeks": (("Rosy Cheeks", True),),
    "thick brows": (("Bushy Eyebrows", True),), "thick lips": (("Big Lips", True),),
    "large nose": (("Big Nose", True),), "large lips": (("Big Lips", True),),
    "overweight": (("Chubby", True),), "fat": (("Chubby", True),), "slim": (("Chubby", False),),
    "thin": (("Chubby", False),), "round": (("Round Face", True),),
    "black and white": (("Color Photo", False),), "monochrome": (("Color Photo", False),),
    "in colour": (("Color Photo", True),), "in color": (("Color Photo", True),),
    "in focus": (("Blurry", False),), "out of focus": (("Blurry", True),),
    "outside": (("Outdoor", True),), "inside": (("Outdoor", False),),
    "pretty": (("Attractive Woman", True),), "handsome": (("Attractive Man", True),),
    "beautiful": (("Attractive Woman", True),),
}  # fmt: skip

# Who is spoken of; they give way to any noun.
PRONOUNS: Mapping[str, tuple[str, bool]] = {
    word: ("Male", there) for there, words in ((True, ("he", "his", "him")), (False, ("she", "her"))) for word in words
}

# Words that an adjective waits for: "brown, curly hair" is brown hair and curly hair. Other forms of them -> the form.
HEADS: Mapping[str, str] = {
    **{word: word for word in (
        "hair", "eyes", "eyebrows", "nose", "lips", "skin", "face", "mouth", "jaw", "chin", "cheeks", "cheekbones",
        "forehead", "lighting", "hairline", "photo", "nose mouth lines")},
    "brows": "eyebrows", "light": "lighting", "complexion": "skin", "picture": "photo", "photograph": "photo",
    "haired": "hair", "eyed": "eyes", "faced": "face", "skinned": "skin", "lipped": "lips", "nosed": "nose",
}  # fmt: skip

DENIALS = frozenset({"not", "no", "without", "never", "neither", "non", "minus", "lacking", "isn t", "doesn t"})
LASTING = frozenset({"without", "neither", "lacking"})  # denials that an "and" does not end: "without hat and glasses"

DEGREES: Mapping[str, float] = {
    "barely": 0.25, "hint of": 0.25, "hint of a": 0.25, "faintly": 0.25,
    "slightly": 0.5, "slight": 0.5, "a little": 0.5, "little": 0.5, "a bit": 0.5, "a bit of": 0.5, "somewhat": 0.5,
    "half": 0.5, "lightly": 0.5, "half way": 0.5, "rather": 0.75, "fairly": 0.75, "quite": 0.75,
    "very": 1.0, "really": 1.0, "clearly": 1.0, "strongly": 1.0, "completely": 1.0, "fully": 1.0, "broadly": 1.0,
    "widely": 1.0, "extremely": 1.0,
}  # fmt: skip

ENDS = frozenset({"and", "with", "but", "who", "that", "while", "plus", "having", "has"})  # of what a denial denies
CARRIES = frozenset({"or", "nor"})  # on with it

_FILLERS = """
a an the of is are be being in on at to for as am i me my please make draw show give want would like need
face faces person people somebody someone human adult individual portrait image picture photo photograph head
looking looks look wearing wears wear worn have got does do kind sort some any one it its this these there their
they them he she his her him hair eyes eyebrows nose lips skin mouth jaw chin cheeks forehead lighting light
years year old age ages aged around about also too very much all natural normal ordinary average both or nor
"""
FILLERS = frozenset(_FILLERS.split()) | ENDS
