"""42 heads on what an encoder sees of a face: one fully connected layer and one softmax a group of attributes.

Cate, Dalvi and Hussain (2016), section 3.2, attach the heads to the end of VGG-Face's fc7. Here they stand on the looks
of a recipe (``sight``), straight (preset ``paper``) or after one narrow linear layer that they share (preset ``mien``).

Two outputs are ours. ``marks``: for each of the 73 attributes one logit that says whether an annotator of LFW's kind
would have marked the photo with it. A softmax over hair colours answers *which*, given that there is one; it cannot
say that none was marked, and it is not asked to: a photo without a mark does not train it. ``age``: a distribution over
whole years, as in the judge (``attributes/age_sex``), because the five ages of the vocabulary are no number of years.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.attributes.features import FeatureSpec, Recipe
from mien.attributes.vocabulary import GROUPS, NAMES, Group
from mien.core.config import Config

AGES = 101  # whole years 0 to 100
CLIP = 6.0  # deviations: a feature that leaps farther says nothing more
SEX = next(group for group in GROUPS if group.name == "sex")
MALE, FEMALE = SEX.classes.index("Male"), SEX.classes.index("female")


class HeadsConfig(Config):
    """What the heads look at and how they are built: enough to build them again."""

    recipe: tuple[str, ...]  # names of looks
    widths: tuple[int, ...]  # numbers of a look, one a look
    trunk: int = 0  # axes of the linear layer that the heads of attributes share; 0: none, they see all features
    who: str | None = None  # the look that sex and age are read from, by a layer of their own; None: as the attributes
    who_width: int = 128  # of that layer
    dropout: float = 0.5  # before every layer
    who_dropout: float | None = None  # before the layers of sex and age; None: as the others
    marks: bool = True  # whether there is a logit for each mark beside the 42 softmaxes
    mirrored: bool = False  # whether a face is read together with its mirror image: the mean of what both look like

    @property
    def looks(self) -> Recipe:
        """The recipe itself."""
        return tuple(FeatureSpec.of(name) for name in self.recipe)

    @property
    def who_columns(self) -> slice:
        """Where the look of sex and age lies among the features."""
        if self.who is None:
            return slice(0, sum(self.widths))
        place = self.recipe.index(self.who)
        start = sum(self.widths[:place])
        return slice(start, start + self.widths[place])


@dataclass(frozen=True, slots=True)
class Answers:
    """Logits of N faces: ``groups`` (42 of N x classes, in the order of ``GROUPS``), ``marks`` N 73, ``age`` N 101."""

    groups: tuple[Tensor, ...]
    marks: Tensor | None
    age: Tensor

    def scores(self) -> Tensor:
        """N 73: how much speaks for each attribute, in the order of ``NAMES``; log-odds of a softmax without marks."""
        if self.marks is not None:
            return self.marks
        columns: dict[str, Tensor] = {}
        for group, logits in zip(GROUPS, self.groups, strict=True):
            probabilities = logits.float().softmax(1).clamp(1e-6, 1 - 1e-6)
            columns |= {name: probabilities[:, place].logit() for place, name in enumerate(group.members)}
        return torch.stack([columns[name] for name in NAMES], 1)


class AttributeHeads(nn.Module):
    """What a recipe sees (N D) -> ``Answers``. The features are standardised by the mean and deviation kept inside."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: HeadsConfig) -> None:
        super().__init__()
        self.config = config
        width = sum(config.widths)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.dropout = nn.Dropout(config.dropout)
        self.who_dropout = nn.Dropout(config.dropout if config.who_dropout is None else config.who_dropout)
        self.trunk = nn.Linear(width, config.trunk) if config.trunk else None
        inner = config.trunk or width
        columns = config.who_columns
        self.who = nn.Linear(columns.stop - columns.start, config.who_width) if config.who else None
        inner_who = config.who_width if config.who else inner
        self.heads = nn.ModuleDict(
            {slug(group): nn.Linear(inner_who if group is SEX else inner, len(group.classes)) for group in GROUPS}
        )
        self.marks = nn.Linear(inner, len(NAMES)) if config.marks else None
        self.age = nn.Linear(inner_who, AGES)

    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """Keep the mean and deviation (D each) of the training features inside; dead features stay dead."""
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(deviation > 1e-4, 1 / deviation.clamp(min=1e-4), torch.zeros_like(deviation)))

    def standard(self, features: Tensor, columns: slice = slice(None)) -> Tensor:
        """Features (N of the columns) -> as many, of mean 0 and deviation 1 and within ``CLIP`` deviations."""
        return ((features - self.mean[columns]) * self.scale[columns]).clamp(-CLIP, CLIP)

    def forward(self, features: Tensor) -> Answers:
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise ValueError(f"attributes: features of shape {tuple(features.shape)}, wanted N {len(self.mean)}")
        x = self.standard(features)  # N D
        axes = x if self.trunk is None else self.trunk(self.dropout(x))  # N trunk
        return self.answer(axes, x[:, self.config.who_columns])

    def answer(self, axes: Tensor, who: Tensor) -> Answers:
        """Answers from what the trunk makes of the features (N trunk) and the standard look of sex and age (N W)."""
        axes = self.dropout(axes)
        person = axes if self.who is None else self.who_dropout(F.silu(self.who(self.who_dropout(who))))
        groups = tuple(self.heads[slug(group)](person if group is SEX else axes) for group in GROUPS)
        return Answers(groups, None if self.marks is None else self.marks(axes), self.age(person))


def slug(group: Group) -> str:
    """A group's name as a module of torch may be called: ``nose-mouth lines`` -> ``nose_mouth_lines``."""
    return re.sub(r"\W+", "_", group.name)
