"""Everything in a page that can be counted, each as a function from a number to a page with so many of it."""

from collections.abc import Callable

CONSTRUCTS: dict[str, Callable[[int], str]] = {
    "headings of one level": lambda count: "## h\n" * count,
    "headings up and down": lambda count: "".join(f"{'#' * (1 + at % 6)} h{at}\n\n" for at in range(count)),
    "equal headings": lambda count: "## same\n\ntext\n\n" * count,
    "underlined headings": lambda count: "".join(f"h{at}\n---\n\n" for at in range(count)),
    "footnotes": lambda count: "".join(f"## h[^{at}]\n\n[^{at}]: note\n\n" for at in range(count)),
    "paragraphs": lambda count: "A few words.\n\n" * count,
    "lines of a paragraph": lambda count: "a few words\n" * count,
    "sentences": lambda count: "A few words. " * count,
    "items": lambda count: "- item\n" * count,
    "numbered items": lambda count: "1. item\n" * count,
    "rows of a table": lambda count: "| a | b |\n|---|---|\n" + "| x | y |\n" * count,
    "fences": lambda count: "```py\nx = 1\n```\n\n" * count,
    "lines of a fence": lambda count: "```py\n" + "x = 1\n" * count + "```\n",
    "quotations": lambda count: "> quoted\n\n" * count,
    "comments": lambda count: "<!-- note -->\n\ntext\n\n" * count,
    "tags with lines of their own": lambda count: "<Tab label='x'>\n\ntext\n\n</Tab>\n\n" * count,
    "tags beside words": lambda count: "<p>text</p>\n\n" * count,
    "containers": lambda count: ":::note\n\ntext\n\n:::\n\n" * count,
    "boxes": lambda count: '!!! note "x"\n\n    text\n\n' * count,
    "indented code": lambda count: "text\n\n    <div>\n\n" * count,
    "link definitions": lambda count: "".join(f"[a{at}]: /b\n" for at in range(count)),
    "imports": lambda count: "import a from 'a';\n" * count,
    "images": lambda count: f"![x](data:image/png;base64,{'QUJD' * 60})\n\n" * count,
    "rules": lambda count: "text\n\n***\n\n" * count,
}
