"""What people say of a face and what it means: words and phrases, strengths, denials, and words that say nothing.

Plain form throughout: lower case, blanks for hyphens and apostrophes, American spelling (``plain`` makes it).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from mien.attributes.vocabulary import NAMES

Meaning = tuple[tuple[str, bool], ...]  # the first is said; the others are implied, and give way to what is said

# Other spelling -> the one in the tables below.
_SPELLED = {
    "grey": "gray", "greying": "gray", "graying": "gray", "moustache": "mustache", "mustachio": "mustache",
    "colour": "color", "coloured": "colored", "blonde": "blond", "make up": "makeup", "neck tie": "necktie",
    "sun glasses": "sunglasses", "eye glasses": "eyeglasses", "ear rings": "earrings", "ear ring": "earring",
    "lip stick": "lipstick", "side burns": "sideburns", "five o clock": "5 o clock", "foto": "photo",
    "picture": "photo", "photograph": "photo", "fotograph": "photo", "pic": "photo", "dark brown": "brown",
    "light brown": "brown", "dark blond": "blond", "light blond": "blond", "golden": "blond", "jet black": "black",
    "salt and pepper": "gray", "eye brows": "eyebrows", "cheek bones": "cheekbones", "mouthed": "mouth",
    "bare headed": "bareheaded",
    "good looking": "attractive",
}  # fmt: skip
_SPELLING = re.compile(rf"\b({'|'.join(sorted(_SPELLED, key=len, reverse=True))})(e?s)?\b")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def plain(text: str) -> str:
    """``5 o' Clock-Shadow`` -> ``5 o clock shadow``, ``Grey-Hair`` -> ``gray hair``: how words are compared."""
    blank = " ".join(re.sub(r"[-_'\u2019\u2010\u2011]", " ", text.casefold()).split())
    return _SPELLING.sub(lambda found: _SPELLED[found[1]] + (found[2] or ""), blank)


# Attributes, the first said and the others implied ("not": absent) -> words for them. Plurals are understood.
_MEANINGS: Mapping[str, str] = {
    # Who
    "Male": """man | men | gentleman | gentlemen | guy | dude | fellow | bloke | chap | lad | mister | masculine |
        father | dad | daddy | uncle | husband | brother | son | king | prince | wizard | monk | priest | lord | actor |
        waiter | fella | groom | bridegroom | nephew | grandson | boyfriend | widower | knight | duke | cowboy | sir""",
    "not Male": """female | woman | women | womanly | lady | ladies | feminine | gal | lass | mother | mom | mum |
        mama | aunt | auntie | wife | sister | daughter | queen | princess | witch | nun | goddess | actress |
        waitress | barmaid | madam | housewife | bride | niece | granddaughter | girlfriend | widow | duchess |
        ballerina""",
    "Male, Senior": "grandfather | grandpa | granddad | grandad | gramps",
    "not Male, Senior": "grandmother | grandma | granny | grandmom | nana | nan | gran",
    "Male, Child": "boy | schoolboy",
    "not Male, Child": "girl | schoolgirl",
    "Child, Male": "little boy | young boy | small boy",
    "Child, not Male": "little girl | young girl | small girl",
    "Baby, Male": "baby boy", "Baby, not Male": "baby girl",
    "White": "caucasian | european | white skin",
    "Black": "african | african american | afro american | black skin | dark skin | brown skin",
    "Asian": """chinese | japanese | korean | vietnamese | thai | east asian | south east asian | southeast asian |
        oriental""",
    "Indian": "south asian | pakistani | bangladeshi",
    "Baby": "infant | newborn | babies",
    "Child": "kid | children | childlike",
    "Youth": "young | younger | youthful",
    "Middle Aged": "middle age",
    "Senior": "elderly | old | older | little old | pensioner | retired",
    # Hair
    "Black Hair": "dark hair | raven hair", "Brown Hair": "brunette | brunet | chestnut hair",
    "Blond Hair": "blond | fair hair",
    "Gray Hair": "white hair | silver hair | gray | silver haired",
    "Bald": "hairless | no hair | without hair | neither hair | bald head | baldheaded | shaved head | shaven head",
    "Curly Hair": "curls | curly | afro | curled hair | frizzy hair", "Wavy Hair": "wavy | waves",
    "Receding Hairline": "balding | receding hair | thinning hair | receding",
    "Bangs": "fringe", "Sideburns": "muttonchops | mutton chops",
    "Wearing Hat": """hat | cap | headwear | beanie | baseball cap | bonnet | beret | fedora | cowboy hat | top hat |
        bowler | bowler hat | straw hat | sun hat | sunhat | bucket hat | bobble hat | woolly hat | party hat |
        panama | panama hat | trilby | sombrero | flat cap | peaked cap""",
    "not Wearing Hat": "bareheaded",
    # Eyes
    "Eyeglasses": "glasses | spectacle | spectacled | specs | bespectacled | wearing glasses | reading glasses",
    "Sunglasses": "shades | dark glasses",
    "No Eyewear": "no glasses | without glasses",
    "Eyes Open": "open eyes | wide open eyes | eyes wide open",
    "not Eyes Open": "eyes closed | closed eyes | eyes shut | shut eyes",
    "Brown Eyes": "dark eyes", "Narrow Eyes": "squinting | slanted eyes",
    "Bags Under Eyes": """eye bags | bags under eye | baggy eyes | dark circles | dark circles under eyes |
        bag under eyes""",
    "Bushy Eyebrows": "thick eyebrows | heavy eyebrows | big eyebrows", "Arched Eyebrows": "curved eyebrows",
    # Nose, mouth
    "Big Nose": "large nose | huge nose", "Pointy Nose": "pointed nose | sharp nose",
    "Big Lips": "full lips | thick lips | large lips",
    "Smiling": """smile | smiles | smiled | smiley | happy | cheerful | grinning | grin | grins | laughing | laugh |
        laughs | beaming | joyful | big smile | broad smile | wide smile | bright smile | big grin | wide grin""",
    "not Smiling": """serious | stern | unsmiling | serious expression | stern expression | straight face | neutral |
        neutral expression | neutral face | expressionless | deadpan""",
    "Frowning": "frown | frowns | sad | angry | grumpy | scowling | scowl | unhappy | furious",
    "Goatee": "goateed",
    "Mouth Closed": "closed mouth | mouth shut | shut mouth",
    "Mouth Slightly Open": "half open mouth | mouth half open | slightly open mouth | parted lips | lips parted",
    "Mouth Wide Open": "open mouth | mouth open | wide open mouth | gaping",
    "Teeth Not Visible": "toothless",
    "not Teeth Not Visible": "teeth | teeth visible | showing teeth | with teeth | visible teeth | toothy",
    # Beard
    "not No Beard": """beard | bearded | facial hair | full beard | big beard | huge beard | thick beard | bushy beard |
        heavy beard | beardy""",
    "not No Beard, Gray Hair": "gray beard | white beard | gray bearded | white bearded",
    "No Beard": "clean shaven | cleanshaven | beardless | shaven | shaved | clean shaved",
    "Mustache": "mustached | mustachioed | big mustache | thick mustache | bushy mustache",
    "5 o' Clock Shadow": "stubble | stubbled | unshaven | stubbly | needs shave | designer stubble | unshaved",
    # Shape, skin
    "Chubby": """plump | overweight | fat | heavy set | heavyset | stout | obese | round cheeks | chubby cheeks |
        chubby face | fat face | full face""",
    "not Chubby": "slim | thin | skinny | slender | lean | thin face | slim face",
    "Round Face": "round", "Square Face": "square",
    "Pale Skin": "pale | fair skin | light skin | pale face", "Flushed Face": "flushed | blushing | red face",
    "Rosy Cheeks": "rouge | red cheeks | pink cheeks", "Shiny Skin": "oily skin | shiny face",
    "Heavy Makeup": "makeup | made up | heavily made up | much makeup | lots of makeup",
    "not Heavy Makeup": "light makeup | little makeup | subtle makeup",
    "Strong Nose-Mouth Lines": "laugh lines | smile lines",
    # Worn
    "Wearing Lipstick": "lipstick", "Wearing Earrings": "earring",
    "Wearing Necklace": "necklace | pearls", "Wearing Necktie": "necktie | tie | wearing tie",
    # Raters
    "Attractive Woman": "pretty | beautiful | gorgeous", "Attractive Man": "handsome",
    # Photo
    "Color Photo": "in color | colored photo | color",
    "not Color Photo": "black and white | monochrome | black and white photo | in black and white",
    "Outdoor": "outdoors | outside", "not Outdoor": "indoor | indoors | inside",
    "Blurry": "blurred | out of focus", "not Blurry": "sharp | sharp photo | in focus | in sharp focus",
    "not Posed Photo": "candid", "Harsh Lighting": "hard lighting",
    # Understood, and nothing that a face of ours can show
    "": """freckles | freckled | freckly | tattoo | tattooed | scar | scarred | scarface | birthmark | mole | dimple |
        dimpled | wrinkle | wrinkled | wrinkly | acne | pimple | piercing | pierced | nose ring | blue eyes | green
        eyes | gray eyes | hazel eyes | black eyes | amber eyes | light eyes | big eyes | large eyes | small eyes |
        red hair | redhead | redheaded | ginger | ginger hair | auburn hair | red haired | strawberry blond | dyed
        hair | pink hair | blue hair | green hair | purple hair | long hair | short hair | shoulder length hair |
        ponytail | braid | dreadlock | bun | pigtail | crown | scarf | headscarf | hijab | turban | helmet | mask |
        veil | eyepatch | eye patch | suit | dress | shirt | uniform | jacket | t shirt | hoodie | coat | tall | short
        | small nose | long nose | thin lips | square jaw | strong jaw | pointed chin | pointy ears | big ears |
        hispanic | latino | latina | arab | middle eastern | black and white hair | black and white beard | black and
        white shirt | in black | in white""",
}  # fmt: skip


def _entries() -> Iterator[tuple[str, Meaning]]:
    for name in NAMES:
        yield plain(name), ((name, True),)
    for said, words in _MEANINGS.items():
        attributes = tuple(
            (name.removeprefix("not "), not name.startswith("not ")) for name in said.split(", ") if name
        )
        for word in words.split("|"):
            yield plain(word), attributes


MEANINGS: Mapping[str, Meaning] = dict(_entries())
# Words that say one attribute and imply none -> it.
WORDS: Mapping[str, tuple[str, bool]] = {word: said[0] for word, said in MEANINGS.items() if len(said) == 1}
LONGEST_PHRASE = max(len(phrase.split()) for phrase in MEANINGS)


def synonyms_of(name: str, there: bool = True) -> tuple[str, ...]:
    """The other words for an attribute, or (``there`` False) for its absence."""
    return tuple(word for word, said in WORDS.items() if said == (name, there) and word != plain(name))


def meaning_of(words: Sequence[str]) -> tuple[Meaning, bool] | None:
    """(what a phrase means, whether the word denies it: "hatless"); ``None`` where it means nothing.

    An empty meaning: understood, and nothing that a face can show.
    """
    phrase = " ".join(words)
    for form in _singulars(phrase):
        if form in MEANINGS:
            return MEANINGS[form], False
    if len(words) == 1:
        for stem in _stems(phrase):
            if MEANINGS.get(stem):
                return MEANINGS[stem], True
        for ending, male in (("woman", False), ("women", False), ("man", True), ("men", True)):
            if phrase.endswith(ending):  # "policewoman", "Englishman"
                return None if phrase in _NO_MEN or len(phrase) < 6 else ((("Male", male),), False)
    return None


def _stems(word: str) -> Iterator[str]:
    """hat of "hatless", smiling of "unsmiling" and "nonsmiling"."""
    if word.endswith("less"):
        yield word[:-4]
    for prefix in ("un", "non"):
        if word.startswith(prefix):
            yield word.removeprefix(prefix)


def _singulars(phrase: str) -> Iterator[str]:
    yield phrase
    for plural, singular in (("ies", "y"), ("es", ""), ("s", "")):
        if phrase.endswith(plural):
            yield phrase.removesuffix(plural) + singular


_NO_MEN = frozenset({"german", "ottoman", "talisman", "shaman", "specimen", "abdomen", "acumen", "regimen"})

# Who is spoken of; they give way to any noun.
PRONOUNS: Mapping[str, bool] = {"he": True, "his": True, "him": True, "she": False, "her": False, "hers": False}

# Words that an adjective waits for: "brown, curly hair" is brown hair and curly hair. Other forms of them -> the form.
_PARTS = _words("""hair eyes eyebrows nose lips skin face mouth jaw chin cheeks cheekbones forehead lighting hairline
photo expression ears teeth""")
THINGS = _words("""beard mustache smile glasses sunglasses eyeglasses hat cap tie necktie necklace earrings lipstick
makeup shirt dress suit jacket coat scarf""")
HEADS: Mapping[str, str] = {
    **{word: word for word in [*_PARTS, *THINGS]},
    **{word.removesuffix("s"): word for word in ("eyes", "eyebrows", "lips", "cheeks", "cheekbones", "ears")},
    **{word + "s": word for word in ("hair", "photo", "beard", "mustache", "hat")},
    "brow": "eyebrows", "brows": "eyebrows", "browed": "eyebrows", "complexion": "skin", "haired": "hair",
    "eyed": "eyes", "faced": "face", "skinned": "skin", "lipped": "lips", "nosed": "nose", "cheeked": "cheeks",
    "jawed": "jaw", "chinned": "chin", "bearded": "beard", "mustached": "mustache", "light": "lighting",
}  # fmt: skip

# Words that mean something else before a thing: a black hat is no Black person, thin lips are no slim face.
ADJECTIVES = _words("""black white brown gray red blue green yellow dark pale thin thick round square sharp straight old
young small large big long short wide narrow pointed fat slim curly wavy silver heavy""")

DENIALS = _words("not no without sans never neither nor non minus lacking lacks cannot")
LASTING = frozenset({"without", "neither", "nor", "lacking"})  # an "and" does not end them: "without hat and glasses"
# Words that raters have for either sex, by whom they are said of.
RATED = frozenset({"pretty", "beautiful", "gorgeous", "handsome", "attractive"})
CARRIES = frozenset({"or", "nor"})

DEGREES: Mapping[str, float] = {
    "barely": 0.25, "hint of": 0.25, "faintly": 0.25, "hardly": 0.25, "touch of": 0.25,
    "slightly": 0.5, "slight": 0.5, "little": 0.5, "bit": 0.5, "bit of": 0.5, "little bit": 0.5, "somewhat": 0.5,
    "half": 0.5, "lightly": 0.5, "half way": 0.5, "partially": 0.5, "kind of": 0.5, "sort of": 0.5,
    "partly": 0.5, "moderately": 0.5,
    "rather": 0.75, "fairly": 0.75, "quite": 0.75, "almost": 0.75, "nearly": 0.75, "pretty much": 0.75,
    "very": 1.0, "really": 1.0, "clearly": 1.0, "strongly": 1.0, "completely": 1.0, "fully": 1.0, "broadly": 1.0,
    "widely": 1.0, "extremely": 1.0, "heavily": 1.0, "totally": 1.0, "so": 1.0, "too": 1.0, "super": 1.0,
}  # fmt: skip

# Dropped before phrases are looked for: "bags under her eyes", "the mouth is slightly open".
DROPPED = _words(
    "is are was were be been being shaped s a an the his her their my your our hers this these those some any"
)
ENDS = _words("and with but who that which while plus having has whose only just")  # of what is denied
FILLERS = ENDS | _words("""
of in on at to for from as by am i me we you please make draw show give find get generate create take send want wants
would like likes need needs see saw seen looking looks look looked seems seem appears face faces person people persons
somebody someone anyone anybody human adult individual portrait image photo head character suspect subject model type
kind sort one it its there they them he she him wearing wears wear wore worn dressed have had got does do did done hair
eyes eyebrows nose lips skin mouth jaw chin cheeks forehead lighting light expression ears neck body years year age ages
aged around about also much all natural normal ordinary average both or nor will shall should could can may might must
if then than hello hi hey thanks thank maybe perhaps probably own let us out up style featuring including shows showing
1 single taken shot sex gender race turning nearing approaching reaching hitting pushing
""")
# Fillers that have numbers: "photo 12".
NUMBERED = _words("photo image portrait type kind sort shot show draw make find get take send")
PEOPLE = _words("""women men people persons boys girls ladies gentlemen guys dudes children kids babies infants toddlers
teenagers teens adults faces portraits photos grandmothers grandfathers grandmas grandpas seniors males females friends
actors actresses""")


def is_known(word: str) -> bool:
    """Whether a word means something by itself or beside another one."""
    return (
        word in PRONOUNS
        or word in HEADS
        or word in ADJECTIVES
        or word in DENIALS
        or word in RATED
        or word in CARRIES
        or word in DROPPED
        or word in DEGREES
        or meaning_of([plain(word)]) is not None
    )
