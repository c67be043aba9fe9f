"""Settings and commands as our documents show them, so that a test runs what people read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).resolve().parents[3] / "docs"


class Block(str):
    """A fenced block of a document."""

    def replacing(self, values: Mapping[str, object]) -> str:
        """With the document's example values replaced by a test's own.

        Each must occur, so that a document that has changed does not pass unnoticed.
        """
        text = str(self)
        for example, value in values.items():
            assert example in text, f"the block does not say {example!r}:\n{text}"
            text = text.replace(example, str(value))
        return text


def block(document: str, language: str, mark: str = "") -> Block:
    """The one block of `language` in `docs/DOCUMENT` that contains `mark`."""
    text = (DOCS / document).read_text()
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    found = [found for found in blocks if mark in found]
    assert len(found) == 1, f"docs/{document} has {len(found)} blocks of {language} with {mark!r}"
    return Block(found[0])
