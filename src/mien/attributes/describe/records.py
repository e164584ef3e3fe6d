"""What is said of one face and of one photo: frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mien.core.records import Box, Face, Pose, Sex
from mien.faces.quality import Quality, Remark, remarks

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
    def sentence(self) -> str:
        """``woman, about 34, smiling, brown wavy hair, no eyewear, looking slightly left``."""
        from mien.attributes.describe.sentence import sentence

        return sentence(self)


@dataclass(frozen=True, slots=True)
class PhotoDescription:
    """All faces of one photo, the largest first; none where there is none."""

    width_px: int
    height_px: int
    faces: tuple[FaceDescription, ...]
    too_small: tuple[Box, ...]  # faces of fewer pixels than can be read
    model_version: str
