"""What thieves reached, beside what the PEPs say that they can reach: one table for all tests that mount a theft.

    row = table.row("the online key", "a wheel of an unclaimed project", TABLE_4_ONLINE, plain="evil", old="evil", fresh="evil")
    table.afterwards()            the index was put right, and everybody gets the good files and no others

`table` is a fixture of `conftest.py`, which prints all rows at the end of the run. Rows travel as properties of
the tests' reports, so that several workers have one table.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

KIND = "reached"
HEAD = ("stolen", "what the thief does", "the PEPs say", "plain pip or uv", "knew the index", "begins then", "recovered")
WIDTHS = (24, 30, 38, 15, 15, 15, 11)

# PEP 458, Table 4 (its three rows), and PEP 480, Table 1 (its eight).
T4_OFFLINE = "458 T4 targets or bins: no"
T4_ONLINE = "458 T4 timestamp, snapshot and bin-n: yes, until root, targets or bins end"
T4_ROOT = "458 T4 root: yes"


def table_one(row: int, says: str) -> str:
    """What PEP 480's Table 1 says in a row."""
    return f"480 T1 row {row}: {says}"


class Table:
    """The rows of one test."""

    def __init__(self, properties: list[tuple[str, object]]) -> None:
        self._properties, self._rows = properties, []

    def row(self, stolen: str, does: str, says: str, *, plain: object, old: object, fresh: object) -> None:
        """What each got: a text, whether it worked, or nothing where it was refused."""
        made = {"cells": [stolen, does, says, cell(plain), cell(old), cell(fresh)], "recovered": "-"}
        self._rows.append(made)
        self._properties.append((KIND, made))

    def afterwards(self, became: str = "yes") -> None:
        """The rows until now are undone: who was asked gets what is good, and nothing of the thief's."""
        for row in self._rows:
            row["recovered"] = became


def cell(seen: object) -> str:
    """What stands in the table for what somebody got."""
    if seen is True or seen == "evil":
        return "the thief's"
    if seen == "old":
        return "an old version"
    if seen is None or seen is False:
        return "refused"
    return str(seen)


def printed(rows: Iterable[dict]) -> list[str]:
    """The table, as lines."""
    lines = [*_lines(HEAD), *_lines(tuple("-" * width for width in WIDTHS))]
    before = None
    for row in rows:
        stolen, *rest = row["cells"]
        lines += _lines(("" if stolen == before else stolen, *rest, row["recovered"]))
        before = stolen
    return lines


def _lines(cells: tuple[str, ...]) -> list[str]:
    wrapped = [textwrap.wrap(text, width) or [""] for text, width in zip(cells, WIDTHS, strict=True)]
    height = max(len(lines) for lines in wrapped)
    filled = [lines + [""] * (height - len(lines)) for lines in wrapped]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, WIDTHS, strict=True)).rstrip()
        for line in zip(*filled, strict=True)
    ]
