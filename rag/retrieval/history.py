"""What a question asks when it leans on the ones before it, without a model to rewrite it.

Words: the last question's terms count 1, those of earlier ones fade with their age, fast when the last question stands
on its own and slowly when it depends on them: it has a pronoun or an ellipsis in it, or hardly a word of its own.
Meaning: a question that depends on the one before it is embedded twice, alone and read together with that one, which
is where an embedding model resolves what it refers to; one that stands on its own is embedded as it is. The assistant's
answers are left out on purpose: their words drown the reader's.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rag.embedding.base import Vectors
from rag.text.scripts import unspaced, words
from rag.types import Exchange, SparseVector

FOLLOW_UP_DECAY = 0.35
STANDALONE_DECAY = 0.15
FAINTEST = 0.05
LONG_WORD = 4
OWN_WORDS = 4
LETTERS_A_WORD = 2  # where no space parts the words

_LEANING = {  # pronouns and ellipses; superlatives and plain articles are left out, for they lean on nothing
    "en": "it its it's that that's this these those them they their theirs he she his her one ones same other others "
    "another more else also too next previous former latter such both either neither",
    "es": "eso esa ese esto esta este estos estas esos esas ello ella ellos ellas mismo misma otro otra otros otras "
    "también además siguiente anterior",
    "fr": "ça cela ceci celui celle ceux celles elle elles même autre autres aussi encore suivant précédent",
    "de": "dies diese dieser dieses diesen jene jener davon damit dafür dazu daran darüber gleiche selbe andere "
    "anderen anderer mehr noch sonst nächste vorherige",
    "pt": "isso isto aquilo esse essa este esta esses essas ele ela eles elas mesmo mesma outro outra outros outras "
    "também próximo anterior",
    "it": "questo questa questi queste quello quella quelli quelle stesso stessa altro altra altri altre anche "
    "prossimo precedente",
    "nl": "dit deze hij zij hetzelfde ander andere meer ook nog volgende vorige daarvan ermee",
    "ru": "это этот эта эти этого этой того он она оно они его её их ему ней нём такой такая другой другая другие "
    "ещё также тоже следующий",
    "tr": "bu şu bunu şunu onu bunun onun bunlar onlar aynı diğer başka daha ayrıca sonraki önceki",
    "ar": "هذا هذه ذلك تلك هؤلاء هو هي هم عنه عنها منه منها فيه فيها به بها له لها نفس آخر أخرى أيضا كذلك التالي",
    "ur": "یہ وہ اس ان اسے انہیں اسی وہی دوسرا دوسری دوسرے مزید بھی اگلا پچھلا",
    "hi": "यह वह ये वे इस उस इसे उसे इसका उसका इनके उनके वही दूसरा दूसरी दूसरे भी अगला पिछला",
}
_LEANING_WORDS = frozenset(word for line in _LEANING.values() for word in line.split())
_LEANING_UNSPACED = re.compile(
    "它|他|她|这|那|此|该|同样|另外|别的|还有|更多|これ|それ|あれ|この|その|あの|もっと|次の|同じ|이것|그것|저것|그거|다른|같은"
)


@dataclass(frozen=True, slots=True)
class WeightedText:
    text: str
    weight: float


def is_follow_up(question: str) -> bool:
    """True when the question hardly means anything without the ones before it."""
    tokens = words(question)
    if not _LEANING_WORDS.isdisjoint(tokens) or _LEANING_UNSPACED.search(question):
        return True
    return sum(len(token) >= LONG_WORD for token in tokens) + unspaced(question) // LETTERS_A_WORD < OWN_WORDS


def sparse_queries(question: str, history: Sequence[Exchange]) -> list[WeightedText]:
    """The question and, fading, the earlier ones, newest first: whose words are searched. The faintest are left out."""
    decay = FOLLOW_UP_DECAY if is_follow_up(question) else STANDALONE_DECAY
    earlier = (WeightedText(past.question, decay**age) for age, past in enumerate(reversed(history), 1))
    return [WeightedText(question, 1.0), *(part for part in earlier if part.weight >= FAINTEST and part.text.strip())]


def dense_queries(question: str, history: Sequence[Exchange]) -> list[WeightedText]:
    """The texts whose meaning is searched."""
    last = history[-1].question.strip() if history else ""
    read_together = [WeightedText(f"{last} {question}", 1.0)] if last and is_follow_up(question) else []
    return [WeightedText(question, 1.0), *read_together]


def merge(parts: Iterable[tuple[SparseVector, float]]) -> SparseVector:
    """One query of many: a term counts as much as in the part where it counts most."""
    values: dict[int, float] = {}
    for vector, weight in parts:
        for index, value in zip(vector.indices, vector.values, strict=True):
            values[index] = max(values.get(index, 0.0), weight * value)
    return SparseVector(tuple(values), tuple(values.values()))


def blend(parts: Sequence[tuple[Vectors, float]]) -> Vectors:
    """The weighted sum of unit vectors, made a unit vector again; shape as each part's."""
    total = np.sum([vector * weight for vector, weight in parts], axis=0, dtype=np.float32)
    length = float(np.linalg.norm(total))
    return np.asarray(total / length if length > 0 else total, dtype=np.float32)
