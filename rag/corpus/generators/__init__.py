"""The generators that are known, and which of them a content folder was written for.

A tree is told by the configuration file that lies nearest to it, in the content folder or above; else by its names and
the beginnings of its pages; else it is `other`.
"""

from pathlib import Path

from rag.corpus.generators.base import Generator, Tree
from rag.corpus.generators.docusaurus import Docusaurus
from rag.corpus.generators.github import GitHub, Other
from rag.corpus.generators.hugo import Hugo
from rag.corpus.generators.mdbook import MdBook
from rag.corpus.generators.mkdocs import MkDocs
from rag.corpus.generators.sphinx import Sphinx
from rag.corpus.generators.starlight import Starlight
from rag.corpus.generators.vitepress import VitePress
from rag.types import GeneratorName

_ALL: tuple[Generator, ...] = (
    MdBook(),
    MkDocs(),
    VitePress(),
    Starlight(),
    Hugo(),
    Sphinx(),
    GitHub(),
    Docusaurus(),
    Other(),
)
_BY_NAME = {generator.name: generator for generator in _ALL}
_LARGEST_CONFIG = 200_000  # bytes


def generator_for(name: GeneratorName) -> Generator:
    return _BY_NAME[name]


def recognise(tree: Tree) -> tuple[GeneratorName, frozenset[str]]:
    """The generator of a tree, and the options that its configuration file switches on."""
    for folder in tree.above:
        for generator in _ALL:
            config = _config(folder, generator)
            if config is not None:
                return generator.name, generator.options(config)
    return next((generator.name for generator in _ALL if generator.recognises(tree)), "other"), frozenset()


def options_of(name: GeneratorName, tree: Tree) -> frozenset[str]:
    """The options of a generator that was named by a setting."""
    generator = _BY_NAME[name]
    configs = (_config(folder, generator) for folder in tree.above)
    return next((generator.options(config) for config in configs if config is not None), frozenset())


def _config(folder: Path, generator: Generator) -> str | None:
    """The text of the generator's configuration file in a folder, if there is one."""
    for name in generator.configs:
        file = folder / name
        try:
            if file.is_file() and file.stat().st_size <= _LARGEST_CONFIG:
                text = file.read_text(encoding="utf-8", errors="replace")
                if generator.owns(text):
                    return text
        except OSError:
            continue
    return None


__all__ = ["generator_for", "options_of", "recognise"]
