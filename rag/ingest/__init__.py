"""From the folder to the index: the plan, the work, the one running job and what it tells."""
