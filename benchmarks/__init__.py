"""What it costs: every figure is a ratio to a floor measured beside it, in the same run."""
