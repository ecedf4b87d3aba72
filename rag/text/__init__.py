"""Text apart from Markdown: BM25, languages, scripts and token counts."""
