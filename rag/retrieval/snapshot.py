"""What a retriever knows of the index it reads, beyond the store: the lexicon, the script, and what terms weigh."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property

from rag.retrieval.topics import HeadingNames, subject
from rag.store.base import IndexConfig, VectorStore
from rag.text.bm25 import Bm25Encoder
from rag.text.cognates import Cognates
from rag.text.languages import is_foreign, language_of, shared_words
from rag.text.scripts import is_latin
from rag.types import DocumentRecord

MOST_TERMS = 20_000
TITLES_READ = 200


class IndexSnapshot:
    """Lives as long as one published index."""

    def __init__(self, config: IndexConfig, documents: Sequence[DocumentRecord]) -> None:
        self.config = config
        self.documents = documents
        self.encoder = Bm25Encoder(config.language, config.average_words)
        self.titles = [document.title for document in documents if document.chunks]
        self.latin = is_latin(" ".join(f"{document.title} {document.lead}" for document in documents[:TITLES_READ]))
        self._idf: OrderedDict[int, float] = OrderedDict()

    @cached_property
    def _cognates(self) -> Cognates:
        headings = (heading.text for document in self.documents for heading in document.headings)
        return Cognates([*self.titles, *headings])

    @cached_property
    def names(self) -> HeadingNames:
        return HeadingNames(self.documents)

    def is_foreign(self, question: str) -> bool:
        """Whether the question is in another language than the book; a heading of the book is not."""
        return is_foreign(question, self.config.language) and not self.names.documents(subject(question))

    def searched(self, question: str) -> str:
        """The question's subject; in another language what can stand in the book, and what looks like it there."""
        about = subject(question)
        if not self.is_foreign(question):
            return about
        return self._cognates.translated(shared_words(about, language_of(question)))

    async def idf(self, terms: Sequence[int], store: VectorStore) -> dict[int, float]:
        unknown = [term for term in dict.fromkeys(terms) if term not in self._idf]
        for term, value in zip(unknown, await store.idf(unknown) if unknown else (), strict=True):
            self._idf[term] = value
            if len(self._idf) > MOST_TERMS:
                self._idf.popitem(last=False)
        return {term: self._idf[term] for term in terms if term in self._idf}
