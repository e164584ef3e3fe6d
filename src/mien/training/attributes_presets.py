"""The two ways to train attribute heads: as the paper printed it, and what does best here."""

from __future__ import annotations

from mien.attributes.features import FeatureSpec, Recipe
from mien.attributes.heads import HeadsConfig
from mien.training.attributes import AttributesConfig

PRESETS = ("mien", "paper")
# What the paper calls fc-7, by encoder: the last layer before the one that names people.
LAST: dict[str, str] = {"facenet": "pool", "vgg-face": "fc7"}
# From the last features down to early ones, region by region: the deeper, the less of the photo is left. The labels of
# LFW come from classifiers of colours and edges of face parts, so that early layers on small regions tell most of what
# the last ones have forgotten.
LOOKS: dict[str, Recipe] = {
    "facenet": (
        FeatureSpec("window", "pool"),
        FeatureSpec("crop", "pool"),
        FeatureSpec("crop", "block17", 4),
        FeatureSpec("crop", "block35", 8),
        FeatureSpec("crop", "4a", 8),
        FeatureSpec("crop", "2b", 12),
    ),
    "vgg-face": (
        FeatureSpec("window", "fc7"),
        FeatureSpec("window", "fc6"),
        FeatureSpec("window", "pool5", 4),
        FeatureSpec("window", "conv3_3", 4),
    ),
}
PAPER_EPOCHS, MIEN_EPOCHS = 50, 16


def recipe(preset: str, encoder: str) -> Recipe:
    """What the heads of a preset look at: one look at the last layer (``paper``), or the looks of ``LOOKS``."""
    return (FeatureSpec("window", LAST[encoder]),) if preset == "paper" else LOOKS[encoder]


def paper(encoder: str, widths: tuple[int, ...]) -> AttributesConfig:
    """Section 6: rate 5e-6 (constant), 50 epochs, dropout after every layer (its rate is not printed: 0.5).

    42 heads on the last features and nothing else: no weights of classes, no logit of marks. Which optimiser is not
    printed either; Adam. Age in years is ours: the head of years learns beside the 42, from faces of known age.
    """
    looks = recipe("paper", encoder)
    heads = HeadsConfig(recipe=tuple(each.name for each in looks), widths=widths, dropout=0.5, marks=False)
    return AttributesConfig(
        heads=heads, encoder=encoder, learning_rate=5e-6, schedule="constant", balance=0.0, unmarked_share=0.0
    )


def mien(encoder: str, widths: tuple[int, ...]) -> AttributesConfig:
    """73 axes solved on looks at several depths, the heads on them; sex and age from the last layer.

    Each face is seen together with its mirror image, when it is read and, where it has attributes, when it teaches.
    """
    looks = recipe("mien", encoder)
    heads = HeadsConfig(
        recipe=tuple(each.name for each in looks),
        widths=widths,
        trunk=73,
        who=looks[0].name,
        who_width=256,
        dropout=0.1,
        who_dropout=0.4,
        mirrored=True,
    )
    return AttributesConfig(
        heads=heads,
        encoder=encoder,
        learning_rate=3e-3,
        weight_decay=0.02,
        ridge=1.0,
        balance=0.3,
        unmarked_share=0.6,
        sex_weight=1.0,
        age_weight=0.5,
        age_l1_weight=0.1,
        ema_half_life_kimg=20.0,
        mirrored_training=True,
    )


def unfrozen(config: AttributesConfig) -> AttributesConfig:
    """The configuration for layers of the encoder that learn: no solved trunk, which would not fit moving features.

    Dropout of 0.1 follows every such layer. The paper's rate is not printed; half of everything, as after the
    features, would leave nothing of a residual network that is a dozen layers deep.
    """
    trunk = {"trunk": 0, "who": None} if config.ridge else {}
    return config.model_copy(
        update={"heads": config.heads.model_copy(update=trunk), "ridge": 0.0, "encoder_dropout": 0.1}
    )
