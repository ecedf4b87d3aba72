"""The seam of the embedders: documents and queries are kept apart because models may treat them differently."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Turns texts into unit vectors of `dimensions` components, or into zeros where the model cannot read the text.

    `dimensions` is 0 for an embedder that has no model: it returns arrays of shape (n, 0), and everything
    downstream works with the lexical scores alone. `fingerprint` names the model and what else the vectors
    depend on; vectors of different fingerprints are never mixed.
    """

    @property
    def fingerprint(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    async def open(self) -> None:
        """Loads or probes the model; after it `dimensions` is known. Raises ModelError."""
        ...

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Shape (len(texts), dimensions), in the order of `texts`. Raises ModelError."""
        ...

    async def embed_query(self, text: str) -> Vectors:
        """Shape (dimensions,). Raises ModelError."""
        ...

    async def close(self) -> None: ...
