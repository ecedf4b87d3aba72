"""The commands of `python -m rag`."""
