"""A folder of Markdown: what is in it, where it is published, and how a page is cut into chunks."""
