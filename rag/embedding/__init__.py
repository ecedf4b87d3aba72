"""Texts to vectors: the seam (base), the OpenAI part, the local part and the cache of vectors by text hash."""
