"""Whatever a model or a book says is text on the screen: no script, no form, no image, no link but into the book."""

import itertools

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.visitor import BOOK, Visitor
from tests.support.openai_script import Say
from tests.support.openai_server import OpenAIServer
from tests.support.running import Running

NUMBERS = itertools.count(1)
MARKUP = """Every four hours [1]. <script>window.hacked = 1</script>
<img src="https://evil.example/x.png" onerror="hacked=2">
<form action="https://evil.example"><input type="password" name="p"><button>Sign in</button></form>
<iframe src="https://evil.example"></iframe><a href="https://evil.example">here</a>
<style>body { display: none }</style>
<div style="position: fixed; inset: 0">over everything</div> <svg onload="window.hacked=3"></svg>
![picture](https://evil.example/y.png) [link](https://evil.example/z) [ref][r] https://evil.example/bare
www.evil.example
<https://evil.example/auto> someone@evil.example &lt;b&gt;

[r]: https://evil.example/ref
[1]: https://evil.example/stolen

`<script>hacked=4</script>` and `` a ` <img src=x onerror=hacked=5> ``

- step

  ```html
  <img src=x onerror="window.hacked=6">
  ```

> ```
> <form><input></form>
```
<svg onload="window.hacked=7">
"""


@pytest.fixture
def visitor(app: Running, visit: Visit) -> Visitor:
    return visit(app)


def says(visitor: Visitor, model: OpenAIServer, text: str) -> None:
    model.next(Say(text), route="chat")
    visitor.ask(f"How often is the wick trimmed in year {next(NUMBERS)}?")
    visitor.wait_for_answer()


@pytest.mark.parametrize("opening", ["", "~~~\n", "1. ```\n", "> ```\n", "`", "``` x`y\n", "\\`", "$$", "<!--"])
def test_markup_is_shown_and_does_nothing(visitor: Visitor, model: OpenAIServer, opening: str) -> None:
    says(visitor, model, opening + MARKUP)
    messages = visitor.conversation.locator(".message-content")
    assert messages.locator("script, form, input, iframe, img, style, object, [onload], [onerror]").count() == 0
    assert messages.locator("svg:not(.katex svg):not(button svg)").count() == 0  # the renderer's own are in its buttons
    assert visitor.page.evaluate("typeof window.hacked") == "undefined"
    fixed = "elements => elements.filter(element => getComputedStyle(element).position == 'fixed').length"
    assert messages.locator("*").evaluate_all(fixed) == 0
    links = messages.locator("a").evaluate_all("links => links.map(link => link.href)")
    assert all(link.startswith(BOOK) for link in links), links
    expect(visitor.box).to_be_visible()


LINK = "[here](https://evil.example/z) ![x](https://evil.example/y.png) <b>bold</b>"
LONG = "and so on, " * 60
# Gradio's page takes what stands between two signs of mathematics out of the Markdown, wherever they stand.
TORN_BY_MATHS = {
    "out of a block": f"```\n\\(\n```\n\nand\n\n````\n\\)\n```\n{LINK}\n````\n",
    "out of a block, square": f"```\n\\[\n```\n\nand\n\n````\n\\]\n```\n{LINK}\n````\n",
    "out of a block, empty": f"```\n\\(\\)\n```\n\n$x$\n\n````\n\\)\n```\n{LINK}\n````\n",
    "out of a formula": f"\\( {LONG} $$a \\) ![ {LINK} $$ and \\(b\\)",
    "out of a formula, square": f"$$a \\] ![ {LINK} $$",
    "out of a formula, inline": f"\\( {LONG} $a \\) ![ {LINK}$",
    "commands": "$$\\includegraphics{https://evil.example/y.png} \\href{https://evil.example}{x}$$ $\\url{https://evil.example}$",
    "placeholders": "%%%LATEX_BLOCK_0%%% $x$ `%%%LATEX_BLOCK_9%%%`\n\n```\n%%%LATEX_BLOCK_7%%%\n```\n",
}


@pytest.mark.parametrize("text", TORN_BY_MATHS.values(), ids=TORN_BY_MATHS)
def test_signs_of_maths_free_nothing_from_code_or_formulas(visitor: Visitor, model: OpenAIServer, text: str) -> None:
    says(visitor, model, f"Every four hours [1].\n\n{text}\n\nTo the end.")
    expect(visitor.answer).to_contain_text("To the end.")
    messages = visitor.conversation.locator(".message-content")
    assert messages.locator("img, b").count() == 0
    links = messages.locator("a").evaluate_all("links => links.map(link => link.href)")
    assert all(link.startswith(BOOK) for link in links), links


def test_the_markup_can_be_read(visitor: Visitor, model: OpenAIServer) -> None:
    says(visitor, model, MARKUP)
    for shown in ("<script>window.hacked = 1</script>", "https://evil.example/bare", "someone@evil.example"):
        expect(visitor.answer).to_contain_text(shown)
    code = visitor.answer.locator("code").all_inner_texts()
    assert "<script>hacked=4</script>" in code
    # Parsers disagree where a span ends that holds a backtick, so what could be markup outside of it gets a space.
    assert "a ` < img src=x onerror=hacked=5>" in code


def test_code_is_code_and_maths_is_maths(visitor: Visitor, model: OpenAIServer) -> None:
    says(
        visitor,
        model,
        "Run `kill -9 $$` or `echo $HOME $PATH` [1], which costs $5 and not $6.\n\n"
        "```bash\nkill -9 $$ && echo \"$$\" '\\(x\\)' <in >out [1]\n```\n\n"
        "```python\nif a < b and c_d_e:\n    print('<b>')\n```\n\n"
        "Since $a_1 < b_2$ and \\(e^{i\\pi}\\), we have\n\n$$\\tau = k_p \\theta + k_d \\dot\\theta$$\n\nand no more.",
    )
    assert visitor.answer.locator("p code").all_inner_texts() == ["kill -9 $$", "echo $HOME $PATH"]
    blocks = [text.strip() for text in visitor.answer.locator("pre code").all_inner_texts()]
    assert blocks[0] == "kill -9 $$ && echo \"$$\" '\\(x\\)' <in >out [1]"
    assert blocks[1] == "if a < b and c_d_e:\n    print('<b>')"
    expect(visitor.answer).to_contain_text("which costs $5 and not $6")
    expect(visitor.answer.locator(".katex")).to_have_count(3)
    expect(visitor.answer.locator(".katex-display")).to_have_count(1)
    expect(visitor.answer.locator(".katex-error")).to_have_count(0)
    assert visitor.answer.locator("pre .token").count() > 3, "the code is not highlighted"
    expect(visitor.answer.locator("a.cite")).to_have_count(1)
