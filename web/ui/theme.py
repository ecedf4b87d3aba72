"""How the page looks: Gradio's default theme in slate and indigo, its own copy of IBM Plex Sans, our sheet and script.

Nothing comes from another host.
"""

from pathlib import Path

import gradio as gr

STATIC = Path(__file__).parent.parent / "static"
CSS = STATIC / "ui.css"
FAVICON = STATIC / "favicon.png"


def theme() -> gr.themes.Base:
    return gr.themes.Default(
        primary_hue="indigo",
        secondary_hue="indigo",
        neutral_hue="slate",
        font=(gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "ui-sans-serif", "system-ui", "sans-serif"),
        font_mono=(gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace"),
    ).set(  # white on Gradio's own indigo of 500 has a contrast of 4.47:1; 4.5:1 is what WCAG asks for
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    )


def head() -> str:
    """The script of the page. It is small, and in the page it needs no route of its own."""
    return f"<script>{(STATIC / 'ui.js').read_text(encoding='utf-8')}</script>"
