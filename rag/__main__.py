"""The command line: `python -m rag …`.

Every command loads only what it needs. A failure is one sentence on stderr and exit code 1; bad settings are one
line each and exit code 2.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from rag.errors import ConfigError, RagError


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except RagError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


def chunks(options: argparse.Namespace) -> int:
    from rag.cli import chunks as chunks_command
    from rag.corpus.routes import Site
    from rag.settings import Settings

    settings = Settings.load()
    site = Site(settings.book_url, settings.book_route_base, settings.book_trailing_slash, settings.book_flavor)
    return chunks_command.run(
        options.content or settings.content_dir,
        site,
        limit=settings.chunk_tokens,
        overlap=settings.chunk_overlap_tokens,
    )


def ingest(options: argparse.Namespace) -> int:
    from rag.build import build_ingestion
    from rag.cli import ingest as ingest_command
    from rag.settings import Settings

    return ingest_command.run(build_ingestion(Settings.load()), options)


def ask(options: argparse.Namespace) -> int:
    from rag.cli import ask as ask_command

    return ask_command.run_ask(options.question, as_json=options.json)


def search(options: argparse.Namespace) -> int:
    from rag.cli import ask as ask_command
    from rag.cli import eval as eval_command

    if options.batch is not None:
        return eval_command.run_batch(options.batch, options.k)
    return ask_command.run_search(options.query, options.k, as_json=options.json)


def evaluate(options: argparse.Namespace) -> int:
    from rag.cli import eval as eval_command

    return eval_command.run_eval(options)


def settings(options: argparse.Namespace) -> int:
    from rag.cli import settings as settings_command

    return settings_command.run(markdown=options.markdown)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Only the chosen command's own arguments are built, because building them may load what it needs."""
    parser = argparse.ArgumentParser(prog="python -m rag", description="Chat with a book written in Markdown.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    chosen = arguments[0] if arguments else ""
    command = commands.add_parser("chunks", help="print every chunk of the book as a JSON line")
    command.set_defaults(run=chunks)
    if chosen == "chunks":
        from rag.cli import chunks as chunks_command

        chunks_command.add_arguments(command)
    command = commands.add_parser("ingest", help="bring the index to the state of the book")
    command.set_defaults(run=ingest)
    if chosen == "ingest":
        from rag.cli import ingest as ingest_command

        ingest_command.add_arguments(command)
    command = commands.add_parser("ask", help="ask the book a question")
    command.set_defaults(run=ask)
    if chosen == "ask":
        from rag.cli import ask as ask_command

        ask_command.add_ask_arguments(command)
    command = commands.add_parser("search", help="show the passages a question would be answered from")
    command.set_defaults(run=search)
    if chosen == "search":
        from rag.cli import ask as ask_command

        ask_command.add_search_arguments(command)
    command = commands.add_parser("eval", help="judge retrieval and answers on a file of questions")
    command.set_defaults(run=evaluate)
    if chosen == "eval":
        from rag.cli import eval as eval_command

        eval_command.add_arguments(command)
    command = commands.add_parser("settings", help="print every setting with its default")
    command.set_defaults(run=settings)
    command.add_argument("--markdown", action="store_true", help="as a page of the documentation, not as .env.example")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    os.umask(0o077)  # the index and the caches are their owner's alone
    sys.exit(main())
