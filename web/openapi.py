"""The OpenAPI document of the running application as YAML: `python -m web.openapi FILE`."""

import sys
from pathlib import Path

import yaml

from rag.build import build_pipeline, build_sessions
from rag.settings import Settings
from web.api import create_app
from web.services import Services


def document() -> str:
    """Generated from the routes alone; nothing is opened."""
    settings = Settings()
    app = create_app(Services(settings, build_pipeline(settings), build_sessions(settings)))
    return yaml.safe_dump(app.openapi(), sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(), encoding="utf-8")
