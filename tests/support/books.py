"""Small books for tests: written to a folder, quick to index, with facts that can be asked for."""

from pathlib import Path

LIGHTHOUSE = {
    "index.md": "---\ntitle: The lighthouse keeper's handbook\n---\n\nHow to keep a lighthouse in the north.\n",
    "01-lamp/_category_.json": '{"label": "Part 1: The lamp"}\n',
    "01-lamp/01-oil.md": """---
title: Oil and wick
---

The lamp of the northern tower burns rapeseed oil, because mineral oil freezes less but smokes more.

## Trimming the wick

Trim the wick every four hours. A wick that is trimmed late leaves soot on the lens,
and soot halves the range of the light.

```bash
keeper trim --every 4h --lamp north
```

## How much oil a night takes

| Month | Litres a night |
|---|---|
| June | 2.5 |
| December | 9.0 |

A December night takes nine litres of oil, a June night two and a half.
""",
    "01-lamp/02-lens.md": """# The Fresnel lens

The Fresnel lens bends the light into one flat beam that is seen for nineteen sea miles.

## Cleaning the lens

Clean the lens with spirit of wine and a linen cloth, never with water, since salt in the water scratches the glass.
""",
    "02-sea/_category_.json": '{"label": "Part 2: The sea"}\n',
    "02-sea/01-fog.md": """# Fog

## The fog horn

In fog the horn sounds for five seconds every ninety seconds. Compressed air comes from the red tank behind the stairs.

## When the horn fails

Ring the bell by hand, three strokes a minute, and telegraph the harbour master in Vardø at once.
""",
}


def write_book(folder: Path, files: dict[str, str] = LIGHTHOUSE) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def many_pages(folder: Path, pages: int, sections: int = 5) -> Path:
    """A book of any size; every page differs, so that nothing is embedded twice."""
    for page in range(pages):
        body = "\n\n".join(
            f"## Section {page}-{number}\n\n" + f"Keeper {page} writes in log {number} of storm {page * number}. " * 12
            for number in range(sections)
        )
        path = folder / f"part-{page // 50:03}" / f"page-{page:05}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# Page {page}\n\n{body}\n", encoding="utf-8")
    return folder
