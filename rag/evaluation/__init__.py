"""Question files, judging, and reports."""
