"""The engine: Markdown in, grounded answers out. No web framework is imported here."""

__version__ = "0.1.0"
