"""The 73 attributes and their 42 groups: the one place that knows their names.

The names are those of Kumar et al. (ICCV 2009: PubFig, LFW), spelled and ordered as in their files. Cate, Dalvi and
Hussain (DeepFace: Face Generation using Deep Learning, 2016, section 3.2) put one softmax on each of 42 groups "of
attributes that are highly correlated". They print 42 and one group, the colours of hair; section 4 gives its reason:
"only one of the attributes ... is positively labeled". The rest of the table is ours. Two rules made it: the members of
a group exclude each other by meaning, and the labels agree, save where a comment says that they do not.

A comment "both a/b" says on how many of 11,939 LFW photos two members are marked at once (a), and on how many they
would be if they had nothing to do with each other (b). A mark there is a confident positive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WOMAN = "female"  # the class beside Male
NAMES: tuple[str, ...] = (
    "Male", "Asian", "White", "Black", "Baby", "Child", "Youth", "Middle Aged", "Senior", "Black Hair", "Blond Hair",
    "Brown Hair", "Bald", "No Eyewear", "Eyeglasses", "Sunglasses", "Mustache", "Smiling", "Frowning", "Chubby",
    "Blurry", "Harsh Lighting", "Flash", "Soft Lighting", "Outdoor", "Curly Hair", "Wavy Hair", "Straight Hair",
    "Receding Hairline", "Bangs", "Sideburns", "Fully Visible Forehead", "Partially Visible Forehead",
    "Obstructed Forehead", "Bushy Eyebrows", "Arched Eyebrows", "Narrow Eyes", "Eyes Open", "Big Nose", "Pointy Nose",
    "Big Lips", "Mouth Closed", "Mouth Slightly Open", "Mouth Wide Open", "Teeth Not Visible", "No Beard", "Goatee",
    "Round Jaw", "Double Chin", "Wearing Hat", "Oval Face", "Square Face", "Round Face", "Color Photo", "Posed Photo",
    "Attractive Man", "Attractive Woman", "Indian", "Gray Hair", "Bags Under Eyes", "Heavy Makeup", "Rosy Cheeks",
    "Shiny Skin", "Pale Skin", "5 o' Clock Shadow", "Strong Nose-Mouth Lines", "Wearing Lipstick", "Flushed Face",
    "High Cheekbones", "Brown Eyes", "Wearing Earrings", "Wearing Necktie", "Wearing Necklace",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Group:
    """Attributes of which a face has at most one: one head, one softmax.

    ``none`` is what a face is that has none of them, and then a class of its own; ``None``: every face has one of
    them, no class is needed, and a photo with no mark here has no known label.
    """

    name: str
    members: tuple[str, ...]
    none: str | None

    @property
    def classes(self) -> tuple[str, ...]:
        """What the softmax chooses from: the members, then ``none`` where it is a class."""
        return self.members if self.none is None else (*self.members, self.none)


GROUPS: tuple[Group, ...] = (
    # Who. Sex is one attribute with a named other side. In LFW's labels a face not marked Male is "female or unsure":
    # this head learns from the sex of the labels, where that is known.
    Group("sex", ("Male",), WOMAN),
    # "A large portion of the images do not have any ethnicity labeling", "only 60 % ... have age information" (section
    # 5.1): unmarked is unknown here, so none is no class. No two marks on 99.8 % and 99.4 % of the photos.
    Group("ethnicity", ("Asian", "White", "Black", "Indian"), None),
    Group("age", ("Baby", "Child", "Youth", "Middle Aged", "Senior"), None),
    # Hair. The group that the paper prints ("includes hair color (black, gray, brown, and blond)"), and bald: no hair
    # has no colour. Both bald and black 6/77, blond 3/25, brown 40/211; gray rims do occur (169/95).
    Group("hair", ("Black Hair", "Blond Hair", "Brown Hair", "Gray Hair", "Bald"), None),
    # Exclusive by meaning; the labels of curly and wavy do not agree (both 1303/1364), those of straight do (283/1191).
    Group("hair texture", ("Curly Hair", "Wavy Hair", "Straight Hair"), None),
    Group("hairline", ("Receding Hairline", "Bangs"), "ordinary hairline"),  # both 119/502
    Group("sideburns", ("Sideburns",), "no sideburns"),
    Group("hat", ("Wearing Hat",), "no hat"),
    # Forehead, brows, eyes.
    Group("forehead", ("Fully Visible Forehead", "Partially Visible Forehead", "Obstructed Forehead"), None),
    # Brows and noses: a face may in words be both; the labels say so less often than chance, and 42 asks for pairs.
    Group("eyebrows", ("Bushy Eyebrows", "Arched Eyebrows"), "ordinary eyebrows"),  # both 484/746
    Group("eye shape", ("Narrow Eyes",), "ordinary eyes"),
    Group("eyes open", ("Eyes Open",), "eyes closed"),
    Group("eye color", ("Brown Eyes",), "other eye color"),
    Group("bags under eyes", ("Bags Under Eyes",), "no bags under eyes"),
    Group("eyewear", ("No Eyewear", "Eyeglasses", "Sunglasses"), None),  # "around 90 % ... have no form of eyewear"
    # Nose, cheeks, mouth.
    Group("nose", ("Big Nose", "Pointy Nose"), "ordinary nose"),  # both 1680/2568
    Group("cheekbones", ("High Cheekbones",), "ordinary cheekbones"),
    Group("nose-mouth lines", ("Strong Nose-Mouth Lines",), "weak nose-mouth lines"),
    Group("lips", ("Big Lips",), "ordinary lips"),
    Group("mouth", ("Mouth Closed", "Mouth Slightly Open", "Mouth Wide Open"), None),
    Group("teeth", ("Teeth Not Visible",), "teeth visible"),  # not with the mouth: a closed one hides them (2309/1142)
    Group("expression", ("Smiling", "Frowning"), "neutral"),  # both 0/1281
    # Beard. Moustache, goatee and stubble go together more often than by chance (goatee and moustache 696/154, goatee
    # and stubble 1358/517): a head each. Only "No Beard" denies a goatee (both 76/906). It denies no moustache in
    # words, though it does in the labels (2/461).
    Group("beard", ("No Beard", "Goatee"), "other beard"),
    Group("mustache", ("Mustache",), "no mustache"),
    Group("stubble", ("5 o' Clock Shadow",), "no stubble"),
    # Shape.
    Group("face shape", ("Oval Face", "Square Face", "Round Face"), "other face shape"),
    Group("jaw", ("Round Jaw",), "other jaw"),
    Group("chin", ("Double Chin",), "no double chin"),
    Group("build", ("Chubby",), "not chubby"),
    # Skin. Pale and flushed are two ends of one scale (both 209/361). Rosy cheeks and shine are found on either.
    Group("complexion", ("Pale Skin", "Flushed Face"), "ordinary complexion"),
    Group("cheeks", ("Rosy Cheeks",), "no rosy cheeks"),
    Group("shine", ("Shiny Skin",), "matt skin"),
    # What is worn. Earrings and necklaces go together (both 841/151), a necktie and a necklace do not (126/697).
    Group("makeup", ("Heavy Makeup",), "little or no makeup"),
    Group("lipstick", ("Wearing Lipstick",), "no lipstick"),
    Group("earrings", ("Wearing Earrings",), "no earrings"),
    Group("neckwear", ("Wearing Necktie", "Wearing Necklace"), "neither necktie nor necklace"),
    # Nobody is both by meaning. The labels do not agree (both 787/267): there the two follow beauty, not sex.
    Group("attractiveness", ("Attractive Man", "Attractive Woman"), "neither attractive man nor woman"),
    # The photo. The three kinds of light: harsh and soft 360/1156, harsh and flash 64/315, flash and soft 555/689.
    Group("lighting", ("Harsh Lighting", "Flash", "Soft Lighting"), "other lighting"),
    Group("place", ("Outdoor",), "indoor"),
    Group("focus", ("Blurry",), "sharp"),
    Group("color", ("Color Photo",), "black-and-white photo"),
    Group("occasion", ("Posed Photo",), "candid photo"),
)

GROUP_OF: Mapping[str, Group] = {name: group for group in GROUPS for name in group.members}
