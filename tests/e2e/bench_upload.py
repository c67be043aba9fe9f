"""What an upload costs beside pypiserver's: `cargo xtask bench upload`.

200 small wheels, one after the other, each on a connection of its own, with a token; ours is signed
and visible before its answer. pypiserver takes the same form without asking who sends it, and
signs nothing. Then 200 more with 16 uploaders at a time. Whose turn it is first changes from round
to round; figures are medians of uploads a second.

All of it twice: into an index that begins empty, and into one that holds 2,000 files before: with
every upload pypiserver walks through all names that are there. The last line is JSON.

    WHEELMARK_BIN=… python tests/e2e/bench_upload.py [--uploads N] [--rounds N] [--held N]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.distributions import Distribution, wheel
from harness.index import Index
from harness.pypiserver import Pypiserver
from harness.sandbox import environment
from harness.upload import upload

AT_ONCE = 16
TARGET = 3.0


def main() -> int:
    options = argparse.ArgumentParser(description="uploads, beside pypiserver's")
    options.add_argument("--uploads", type=int, default=200)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--held", type=int, default=2_000, help="files that are there before, the second time")
    args = options.parse_args()
    figures: dict = {"bench": "upload", "uploads": args.uploads, "rounds": args.rounds, "held": args.held}
    for name, held in (("empty", 0), ("filled", args.held)):
        print(f"an index that held {held} files before:", flush=True)
        with tempfile.TemporaryDirectory(prefix="wheelmark-bench-", dir=os.environ.get("TMPDIR")) as named:
            figures[name] = beside(Path(named), held, args.uploads, args.rounds)
    print(json.dumps(figures))
    return 0


def beside(folder: Path, held: int, uploads: int, rounds: int) -> dict:
    (folder / "index").mkdir()
    env = environment(folder / "index")
    Path(env["TMPDIR"]).mkdir(parents=True)
    index = Index(Path(os.environ["WHEELMARK_BIN"]), folder / "index" / "data", env, bins=256).start()
    other = Pypiserver(folder / "pypiserver").start()
    try:
        before = [wheel(f"held-{n % 200}", f"{n}.0") for n in range(held)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(index.publish, before))
        for made in before:
            (other.files / made.filename).write_bytes(made.content)
        return measure(index, other, uploads, rounds)
    finally:
        index.kill()
        other.stop()


def measure(index: Index, other: Pypiserver, uploads: int, rounds: int) -> dict:
    def ours(made: Distribution) -> None:
        index.publish(made)

    def theirs(made: Distribution) -> None:
        answer = upload(other.url, None, made)
        assert answer.status == 200, answer

    found: dict[str, list[float]] = {}
    for number in range(rounds):
        kinds: list[tuple[str, Callable[[Distribution], None]]] = [("wheelmark", ours), ("pypiserver", theirs)]
        for name, send in kinds if number % 2 else reversed(kinds):
            for how, at_once in (("one", 1), ("parallel", AT_ONCE)):
                made = [wheel(f"{how}-{n % 20}", f"{number}.{n}") for n in range(uploads)]
                began = time.monotonic()
                with ThreadPoolExecutor(at_once) as pool:
                    list(pool.map(send, made))
                found.setdefault(f"{name}_{how}", []).append(uploads / (time.monotonic() - began))
    figures: dict = {}
    for name, speeds in sorted(found.items()):
        figures[f"{name}_per_second"] = round(statistics.median(speeds), 1)
        print(f"  {name:20} {statistics.median(speeds):8.1f} uploads/s", flush=True)
    for how in ("one", "parallel"):
        ratio = statistics.median(found[f"wheelmark_{how}"]) / statistics.median(found[f"pypiserver_{how}"])
        figures[f"ratio_{how}"] = round(ratio, 2)
        target = f" (target {TARGET}){'' if ratio >= TARGET else '  MISSED'}" if how == "one" else ""
        print(f"  {how}: {ratio:.2f} x pypiserver{target}", flush=True)
    return figures


if __name__ == "__main__":
    sys.exit(main())
