"""Users and tokens of an index, as whoever runs it makes them."""

from __future__ import annotations

import json
import subprocess

from .index import Index
from .sandbox import Outcome


def administer(index: Index, *words: object) -> Outcome:
    """`wheelmark index …` on the index's data directory, while it runs."""
    command = [str(word) for word in (index.binary, "index", "--data", index.data, *words)]
    done = subprocess.run(
        command, env=index.env | {"NO_COLOR": "1"}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    return Outcome(command, done.returncode, done.stdout, done.stderr)


def add_users(index: Index, *names: str) -> None:
    for name in names:
        administer(index, "user", "add", name).ok()


def token(index: Index, user: str, scope: str, *more: object) -> str:
    """A new token; its secret is all that is on standard output."""
    made = administer(index, "token", "create", "--user", user, "--scope", scope, *more).ok()
    assert made.out.startswith("wmk_") and len(made.out.split()) == 1, f"{made}"
    return made.out.strip()


def audit_log(index: Index, *more: object) -> list[dict]:
    lines = administer(index, "audit-log", "--all", "--json", *more).ok().out.splitlines()
    return [json.loads(line) for line in lines]
