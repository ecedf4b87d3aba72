"""How good the engine is: question sets, hits, refusals and citations, judged."""
