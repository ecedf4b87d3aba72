"""Markdown of a book as units that can be quoted alone."""

import pytest

from rag.markdown.units import plain, units

PAGE = """# The knee {#knee}

A knee carries the body. See [Chapter 4](./04-actuators.md#sizing)[^1] or ![a knee](knee.png) the
table[^2] below.

:::warning Read this first
Never work on a **live knee. It may
move.** <br/> Ask <Tip kind="x">somebody</Tip> first.
:::

1. Switch it off.
2. Wait for `status[0]`.
   It takes [a minute][minute].

```python title="knee.py"
angle = joints[3]  # [see] <b>this</b>
```

| Part | Torque |
|------|--------|
| [Knee](x.md) | 150 Nm |

$$
\\tau = k [1]
$$

> [!NOTE]
> Quoted, with [1] in it.

[minute]: https://example.org/minute
[^1]: A footnote.
"""


def test_every_kind_of_unit_in_its_order() -> None:
    assert [(unit.kind, unit.text) for unit in units(PAGE)] == [
        ("heading", "The knee"),
        ("sentence", "A knee carries the body."),
        ("sentence", "See Chapter 4 or the table below."),
        ("sentence", "Never work on a live knee."),
        ("sentence", "It may move. Ask somebody first."),
        ("item", "1. Switch it off."),
        ("item", "2. Wait for `status[0]`. It takes a minute."),
        ("code", '```python title="knee.py"\nangle = joints[3]  # [see] <b>this</b>\n```'),
        ("table", "| Part | Torque |\n|------|--------|\n| Knee | 150 Nm |"),
        ("formula", "$$\n\\tau = k [1]\n$$"),
        ("sentence", "Quoted, with \\[1\\] in it."),
    ]


def test_units_know_their_place_and_their_block() -> None:
    found = units(PAGE)
    assert [unit.place for unit in found] == list(range(len(found)))
    by_text = {unit.text: unit.block for unit in found}
    assert by_text["A knee carries the body."] == by_text["See Chapter 4 or the table below."]
    assert by_text["1. Switch it off."] == by_text["2. Wait for `status[0]`. It takes a minute."]
    assert len(set(by_text.values())) == 8


@pytest.mark.parametrize(
    ("markdown", "clean"),
    [
        ("[`Vec<T>`](../vec.md) grows", "`Vec<T>` grows"),
        ("[`Box`] and [`Rc`][rc]", "`Box` and `Rc`"),
        ("A **bold [link](a.md)** word", "A **bold link** word"),
        ("[a [nested] one](b.md)", "a [nested] one"),
        ("[with title](b.md 'T') and [angle](<c d.md>)", "with title and angle"),
        ("x[1] and [2, 3] but `x[1]`", "x\\[1\\] and \\[2, 3\\] but `x[1]`"),
        ("Vec<T> is generic; 3 < 4 > 2", "Vec<T> is generic; 3 < 4 > 2"),
        ("see <https://example.org/a>", "see https://example.org/a"),
        ("one\ntwo  three", "one two three"),
        ("中文的句子\n没有空格", "中文的句子没有空格"),
        ("a cut **emphasis", "a cut emphasis"),
        ("a cut `span", "a cut span"),
        ("<!-- hidden --> shown {/* hidden */}", "shown"),
        ("![only an image](a.png)", ""),
        ("[label]: https://example.org 'Title'", ""),
    ],
)
def test_prose_loses_what_points_out_of_its_page(markdown: str, clean: str) -> None:
    assert plain(markdown) == clean


def test_code_inside_a_list_or_a_quote_is_moved_to_the_margin() -> None:
    assert units("   ```bash\n   make\n     run\n   ```")[0].text == "```bash\nmake\n  run\n```"
    assert units("> ```bash\n> make\n> ```")[0].text == "```bash\nmake\n```"
