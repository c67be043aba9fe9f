"""An index with a past: its tree as it was, and as it is, for mirrors that replay."""

from __future__ import annotations

from pathlib import Path

from .distributions import sdist, wheel
from .index import Index
from .mirror import Tree, record

OLD, NEW = wheel("victim", "1.0", says="old"), wheel("victim", "2.0", says="new")
EVIL = wheel("victim", "2.0", says="evil")
BYSTANDER = wheel("bystander", "1.0")
APP = wheel("app", "2.0", extra=("Requires-Dist: lib",))
OLD_APP, OLD_LIB, NEW_LIB = wheel("app", "1.0"), wheel("lib", "1.0"), wheel("lib", "2.0")
TUNED = wheel("tuned", "1.0", says="tuned")
FOREIGN = wheel("tuned", "1.0", says="for another Python", tag="py2-none-any")
BULKY = wheel("bulky", "1.0", payload=1_000_000)
LARGE = wheel("large", "1.0", payload=6 * 1024 * 1024)
SOURCE = sdist("source-only", "1.0")


class History:
    """A running index, and copies of its tree from two moments."""

    def __init__(self, index: Index) -> None:
        self.index = index.start()
        index.publish(OLD, OLD_APP, OLD_LIB, BYSTANDER, TUNED, FOREIGN, BULKY, LARGE, SOURCE)
        self.yesterday: Tree = record(index.tree)
        index.publish(NEW, NEW_LIB, APP)
        self.today: Tree = record(index.tree)

    @property
    def root(self) -> Path:
        return self.index.root_file
