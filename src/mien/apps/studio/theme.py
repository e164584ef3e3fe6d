"""How the studio looks: a contact sheet on a light table. Paper, ink, one red grease pencil; fonts of the system."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gradio as gr

# name of the variable -> its colour by day and by night (a test holds every pair that is read to enough contrast)
PALETTE: Mapping[str, tuple[str, str]] = {
    "paper": ("#f4f1ea", "#171512"),  # the page
    "card": ("#fffdf9", "#211e1a"),  # what lies on it
    "sheet": ("#ffffff", "#26231e"),  # what pictures lie on
    "blank": ("#e6dfd2", "#2d2924"),  # a picture that is not there yet
    "wash": ("#ece6da", "#332e28"),  # under the pointer
    "ink": ("#1c1a17", "#f2ede3"),
    "soft": ("#676158", "#b5ada0"),  # words that matter less
    "line": ("#d9d3c7", "#3d3831"),
    "edge": ("#857e73", "#8c8477"),  # of what can be pressed or written into
    "mark": ("#b8321a", "#ff8d70"),  # the grease pencil
    "mark-wash": ("#f3ddd6", "#40231b"),
}
SANS = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Helvetica", "sans-serif")
MONO = ("ui-monospace", "SF Mono", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")
STYLES = Path(__file__).parent / "styles"

# A frame with a marked face in it; data, so that nothing is fetched.
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E"
    "%3Crect width='32' height='32' rx='6' fill='%231c1a17'/%3E%3Ccircle cx='16' cy='13' r='5.5' fill='%23f4f1ea'/%3E"
    "%3Cpath d='M6 28c1-7 5-9 10-9s9 2 10 9z' fill='%23f4f1ea'/%3E"
    "%3Ccircle cx='16' cy='16' r='13' fill='none' stroke='%23d9481f' stroke-width='2.4'/%3E%3C/svg%3E"
)
HEADER = (
    '<header class="masthead"><a class="skip" href="#tabs">Skip to the controls</a>'
    '<h1 class="wordmark">mien</h1><span class="tagline">faces of people who do not exist</span></header>'
)
FOOTER = (
    '<footer class="colophon"><span>mien {version}</span><span>Every picture is marked as made by AI.</span>'
    "<span>Nothing leaves this machine.</span></footer>"
)


def _variables(night: bool) -> str:
    return "".join(f"--{name}:{pair[night]};" for name, pair in PALETTE.items())


# In the page's head, so that the first paint has its colours already: no white flash at night.
HEAD = (
    f'<link rel="icon" href="{ICON}"><meta name="color-scheme" content="light dark"><style>'
    f":root{{color-scheme:light;{_variables(night=False)}}}"
    f"@media (prefers-color-scheme:dark){{:root{{color-scheme:dark;{_variables(night=True)}}}}}</style>"
)


LOOK = {
    "body_background_fill": "var(--paper)",
    "body_text_color": "var(--ink)",
    "body_text_color_subdued": "var(--soft)",
    "background_fill_primary": "var(--card)",
    "background_fill_secondary": "var(--paper)",
    "border_color_primary": "var(--line)",
    "border_color_accent": "var(--ink)",
    "color_accent": "var(--ink)",
    "color_accent_soft": "var(--wash)",
    "link_text_color": "var(--ink)",
    "block_background_fill": "transparent",
    "block_border_width": "0px",
    "block_shadow": "none",
    "block_padding": "0",
    "block_label_background_fill": "transparent",
    "block_label_text_color": "var(--ink)",
    "block_title_text_color": "var(--ink)",
    "block_title_text_weight": "600",
    "block_title_text_size": "*text_sm",
    "block_info_text_color": "var(--soft)",
    "panel_background_fill": "var(--card)",
    "input_background_fill": "var(--card)",
    "input_border_color": "var(--edge)",
    "input_border_color_focus": "var(--ink)",
    "input_shadow": "none",
    "input_shadow_focus": "0 0 0 2px var(--paper), 0 0 0 4px var(--ink)",
    "slider_color": "var(--ink)",
    "button_primary_background_fill": "var(--ink)",
    "button_primary_background_fill_hover": "color-mix(in srgb, var(--ink) 85%, var(--paper))",
    "button_primary_text_color": "var(--card)",
    "button_primary_border_color": "var(--ink)",
    "button_secondary_background_fill": "transparent",
    "button_secondary_background_fill_hover": "var(--wash)",
    "button_secondary_text_color": "var(--ink)",
    "button_secondary_border_color": "var(--edge)",
    "button_cancel_background_fill": "transparent",
    "button_cancel_background_fill_hover": "var(--mark-wash)",
    "button_cancel_text_color": "var(--mark)",
    "button_cancel_border_color": "var(--mark)",
    "button_border_width": "1px",
    "button_large_text_weight": "600",
    "button_small_text_weight": "500",
    "checkbox_background_color_selected": "var(--ink)",
    "checkbox_border_color_selected": "var(--ink)",
    "checkbox_border_color": "var(--edge)",
    "checkbox_label_background_fill": "var(--card)",
    "checkbox_label_background_fill_selected": "var(--ink)",
    "checkbox_label_text_color_selected": "var(--card)",
    "checkbox_label_border_color": "var(--edge)",
    "checkbox_label_border_color_selected": "var(--ink)",
    "checkbox_label_border_width": "1px",
}


def theme() -> gr.themes.Base:
    """Gradio's plainest theme in the studio's colours. Day and night differ by ``PALETTE`` alone."""
    made = gr.themes.Base(
        primary_hue=gr.themes.colors.stone,
        neutral_hue=gr.themes.colors.stone,
        font=SANS,
        font_mono=MONO,
        radius_size=gr.themes.sizes.radius_sm,
        text_size=gr.themes.sizes.text_md,
    ).set(**LOOK)
    for name in [name for name in vars(made) if name.endswith("_dark")]:
        setattr(made, name, None if getattr(made, name.removesuffix("_dark")) is None else getattr(made, name[:-5]))
    return made


def css() -> str:
    """All styles: ``styles/*.css`` in order of their names."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(STYLES.glob("*.css")))
