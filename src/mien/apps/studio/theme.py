"""How the studio looks: a contact sheet on a light table. Paper, ink, one red grease pencil; fonts of the system."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

PAPER, CARD, INK, SOFT, LINE, MARK = "#f4f1ea", "#fffdf9", "#1c1a17", "#6d675e", "#d9d3c7", "#b8321a"
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
HEAD = f'<link rel="icon" href="{ICON}"><meta name="color-scheme" content="light">'
HEADER = (
    '<header class="masthead"><a class="skip" href="#tabs">Skip to the controls</a>'
    '<span class="wordmark">mien</span><span class="tagline">faces of people who do not exist</span></header>'
)
FOOTER = (
    '<footer class="colophon"><span>mien {version}</span><span>Every picture is marked as made by AI.</span>'
    "<span>Nothing leaves this machine.</span></footer>"
)


def theme() -> gr.themes.Base:
    """Gradio's plainest theme in the studio's colours, the same by day and by night."""
    made = gr.themes.Base(
        primary_hue=gr.themes.colors.stone,
        neutral_hue=gr.themes.colors.stone,
        font=SANS,
        font_mono=MONO,
        radius_size=gr.themes.sizes.radius_sm,
        text_size=gr.themes.sizes.text_md,
    ).set(
        body_background_fill=PAPER,
        body_text_color=INK,
        body_text_color_subdued=SOFT,
        background_fill_primary=CARD,
        background_fill_secondary=PAPER,
        border_color_primary=LINE,
        border_color_accent=INK,
        color_accent=INK,
        color_accent_soft="#ece6da",
        link_text_color=INK,
        block_background_fill="transparent",
        block_border_width="0px",
        block_shadow="none",
        block_padding="0",
        block_label_background_fill="transparent",
        block_label_text_color=INK,
        block_title_text_color=INK,
        block_title_text_weight="600",
        block_title_text_size="*text_sm",
        block_info_text_color=SOFT,
        panel_background_fill=CARD,
        input_background_fill=CARD,
        input_border_color="#8d867b",
        input_border_color_focus=INK,
        input_shadow="none",
        input_shadow_focus=f"0 0 0 2px {PAPER}, 0 0 0 4px {INK}",
        slider_color=INK,
        button_primary_background_fill=INK,
        button_primary_background_fill_hover="#3a352e",
        button_primary_text_color=CARD,
        button_primary_border_color=INK,
        button_secondary_background_fill="transparent",
        button_secondary_background_fill_hover="#ece6da",
        button_secondary_text_color=INK,
        button_secondary_border_color="#8d867b",
        button_cancel_background_fill="transparent",
        button_cancel_background_fill_hover="#f3ddd6",
        button_cancel_text_color=MARK,
        button_cancel_border_color=MARK,
        button_border_width="1px",
        button_large_text_weight="600",
        button_small_text_weight="500",
        checkbox_background_color_selected=INK,
        checkbox_border_color_selected=INK,
        checkbox_border_color="#8d867b",
        checkbox_label_background_fill=CARD,
        checkbox_label_background_fill_selected=INK,
        checkbox_label_text_color_selected=CARD,
        checkbox_label_border_color="#8d867b",
        checkbox_label_border_color_selected=INK,
        checkbox_label_border_width="1px",
    )
    for name in [name for name in vars(made) if name.endswith("_dark")]:
        setattr(made, name, None if getattr(made, name.removesuffix("_dark")) is None else getattr(made, name[:-5]))
    return made


def css() -> str:
    """All styles: ``styles/*.css`` in order of their names."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(STYLES.glob("*.css")))
