"""What embedding costs: US dollars for a million tokens, as OpenAI lists them."""

from types import MappingProxyType

EMBEDDING_PRICES = MappingProxyType(
    {
        "text-embedding-3-small": 0.02,
        "text-embedding-3-large": 0.13,
        "text-embedding-ada-002": 0.10,
    }
)


def cost(tokens: int, price: float | None) -> float | None:
    """`price` is for a million tokens; None when it is not known."""
    return None if price is None else tokens * price / 1_000_000
