"""The 42 groups in the order in which a person reads a face: who, hair, eyes, nose and mouth ... and the photo last."""

from __future__ import annotations

SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("person", ("sex", "age", "ethnicity")),
    ("hair", ("hair", "hair texture", "hairline", "sideburns")),
    ("forehead", ("forehead",)),
    ("eyes", ("eyebrows", "eyes open", "eye shape", "eye color", "bags under eyes", "eyewear")),
    ("nose, cheeks", ("nose", "nose-mouth lines", "cheekbones", "cheeks")),
    ("mouth", ("expression", "mouth", "teeth", "lips")),
    ("beard", ("beard", "mustache", "stubble")),
    ("shape", ("face shape", "jaw", "chin", "build")),
    ("skin", ("complexion", "shine", "makeup", "lipstick")),
    ("worn", ("hat", "earrings", "neckwear")),
    ("raters say", ("attractiveness",)),
    ("photo", ("color", "focus", "lighting", "place", "occasion")),
)
