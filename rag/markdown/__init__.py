"""The structure of Markdown: parsing, chunking, windows, units and plain text."""
