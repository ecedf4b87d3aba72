"""Pages of headings of every kind, made by chance from a seed, for the generators to be compared on."""

import random
from collections.abc import Sequence

WORDS = (
    "Walk", "balance", "PID", "über", "café", "naïve", "第一章", "介绍", "हिन्दी", "شُكْرًا", "Ελλάδα", "x86_64",
    "C++", "C#", ".NET", "a/b", "foo-bar", "snake_case", "2nd", "42", "v1.2", "100%", "What's", "\"quoted\"",
    "'single'", "--", "---", "...", "&", "(parenthesised)", "[brackets]", "a,b", "semi;colon", "ends?", "now!",
    "@home", "$5",
    "~tilde", "^caret", "=", "|", "#1", "½", "ß", "Æsir", "🚀", "🛠️", "İstanbul", "ΣΑΣ", "ﬁne", "Ⅷ", "①",
)  # fmt: skip
MARKED = (
    "`code`", "`a b`", "`<T>`", "``two ` ticks``", "**bold**", "*soft*", "_under_", "***both***", "~~gone~~",
    "[link](https://example.org/a_b)",
    "[`code` link](https://example.org)", "\\*escaped\\*", "\\_x", "&amp;",
    "&copy;", "&lt;tag&gt;", "![](https://example.org/i.png)", "![alt text](https://example.org/i.png)",
)  # fmt: skip


class Pages:
    """`marked` are further pieces of headings, `frames` further places for them; a page holds `size` headings."""

    def __init__(self, seed: int, marked: Sequence[str] = (), *, without: Sequence[str] = ()) -> None:
        self.random = random.Random(seed)
        self._marked = [piece for piece in (*MARKED, *marked) if piece not in without]
        self._words = [word for word in WORDS if word not in without]

    def text(self) -> str:
        """The text of a heading: some are given again and again."""
        draw = self.random.random()
        if draw < 0.15:
            return self.random.choice(["Example", "example", "Example 1", "Example-1", "Example_1", "Usage", "第一章"])
        pieces = [
            self.random.choice(self._marked if self.random.random() < 0.25 else self._words)
            for _ in range(self.random.randint(1, 5))
        ]
        return " ".join(pieces)

    def heading(self) -> str:
        return f"{'#' * self.random.randint(1, 6)} {self.text()}"

    def page(self, frames: Sequence[str], size: int = 50) -> str:
        """Headings in frames: a `%` stands for the heading's line, `@` for a text alone."""
        parts = []
        for _ in range(size):
            frame = self.random.choice(frames)
            parts.append(frame.replace("%", "\0").replace("@", self.text()).replace("\0", self.heading()))
        return "Before.\n\n" + "\n\n".join(parts) + "\n"
