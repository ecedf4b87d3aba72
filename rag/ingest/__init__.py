"""From the content folder to the index: plan, chunk, embed, store, publish; the ingest job."""
