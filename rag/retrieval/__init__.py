"""From a question to its passages: candidates, fusion, grounding, follow-ups and the outline."""
