"""A power failure takes what was not flushed, and the next start writes it again.

It is played by killing the index and spoiling exactly the files that are written without a flush:
those that the database still holds a record of, and what is made from them. Nothing else may be
needed than a start.
"""

from __future__ import annotations

import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from harness.distributions import wheel
from harness.index import Index
from test_kill import Witness, check_whole

ROUNDS = 6
UPLOADS = 24


def kept(index: Index, tree: Path) -> tuple[list[Path], list[Path]]:
    """What stands in the database because it may not be on the disk: signed objects, uploads."""
    # The copy that the witness has made.
    database = sqlite3.connect(index.data.parent / "looking" / index.database.name)
    try:
        signed = [path for (path,) in database.execute("select path from intent_object")]
        uploaded = [path for (path,) in database.execute("select path from kept_object")]
    finally:
        database.close()
    return [tree / path for path in signed], [tree / path for path in uploaded]


def spoil(path: Path, rng: Random) -> None:
    """What a file system may leave of a file that was not flushed."""
    content = path.read_bytes()
    match rng.randrange(4):
        case 0:
            path.unlink()
        case 1:
            path.write_bytes(b"")
        case 2:
            path.write_bytes(content[: rng.randrange(len(content))])
        case 3:
            path.write_bytes(bytes(len(content)))


def test_what_was_not_flushed_is_written_again(make_index, tmp_path: Path) -> None:
    seed = int(os.environ.get("WHEELMARK_SEED", time.time_ns() % 1_000_000))
    print(f"WHEELMARK_SEED={seed}")
    rng = Random(seed)
    index: Index = make_index().start()
    # It is found by its timestamp, which is among what is spoiled.
    tree = index.tree
    witness = Witness()
    acknowledged = []
    spoiled = 0
    for number in range(ROUNDS):
        files = [wheel(f"power-{n % 5}", f"{number}.{n}", payload=n * 4_000) for n in range(UPLOADS)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(index.publish, files))
        acknowledged += files
        index.kill()
        witness.look(index, f"after kill {number}")
        signed, uploaded = kept(index, tree)
        losses = signed + uploaded
        if signed:
            losses.append(tree / "metadata" / "timestamp.json")
            projects = {path.parent.name for path in signed if path.name.endswith(".index.json")}
            losses += [path for project in sorted(projects) for path in (tree / "simple" / project).iterdir()]
        for path in losses:
            # A role may be recorded that was never written, if the kill came between the two.
            if path.exists() and rng.random() < 0.9:
                spoil(path, rng)
                spoiled += 1
        if uploaded:
            for path in (tree / "packages").rglob("*.whl"):
                stored = [other for other in uploaded if other.name.endswith(f".{path.name}")]
                if stored and rng.random() < 0.5:
                    path.unlink()
        index.start()
        witness.look(index, f"after restart {number}")
        check_whole(index, tmp_path / f"reader-{number}", acknowledged, [])
    print(f"{spoiled} files spoiled")
    assert spoiled > ROUNDS * 10, "the test has to take something away"
