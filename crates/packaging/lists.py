"""Writes the lists of names that this crate has inside, anew.

    pip install --upgrade trove-classifiers
    python crates/packaging/lists.py

Classifiers are taken from the package `trove-classifiers`. Names of the standard library are
those of the Python that runs this, and those that were on the list before: a module that was
removed keeps its name to itself.
"""

import re
import sys
from importlib.metadata import version
from pathlib import Path

SRC = Path(__file__).resolve().parent / "src"


def classifiers() -> None:
    from trove_classifiers import all_classifiers, deprecated_classifiers

    lines = [name for name in all_classifiers if name not in deprecated_classifiers]
    lines += [f"{name}\t{', '.join(instead)}" for name, instead in deprecated_classifiers.items()]
    path = SRC / "metadata" / "classifiers.txt"
    path.write_text(f"# trove-classifiers {version('trove-classifiers')}\n" + "".join(f"{line}\n" for line in sorted(lines)))


def standard_library() -> None:
    path = SRC / "name" / "standard_library.txt"
    known = set(path.read_text().split("\n")[1:]) - {""} if path.exists() else set()
    # As projects would be called. No project's name begins with an underscore.
    known |= {re.sub("[-_.]+", "-", name).lower() for name in sys.stdlib_module_names if not name.startswith("_")}
    path.write_text("# modules of Python's standard library, up to 3.14\n" + "".join(f"{name}\n" for name in sorted(known)))


if __name__ == "__main__":
    classifiers()
    standard_library()
