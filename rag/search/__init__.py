"""From a question to its passages: fused, judged, followed up, located and numbered."""
