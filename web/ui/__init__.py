"""The Gradio interface: chat and admin tabs and named endpoints on the same engine as the API."""

from web.ui.page import build_ui, mount

__all__ = ["build_ui", "mount"]
