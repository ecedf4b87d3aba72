"""The index: the seam (base), the payload mapping (points), the embedded engine (edge, generations) and the server."""
