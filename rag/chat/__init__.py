"""One question from beginning to end: prompt, citations, the answer cache, sessions and the token budget."""
