"""What a copy costs beside bandersnatch's, and a check of it beside sha256sum: `cargo xtask bench mirror`.

Everything runs on one machine, in one run. The upstream is a Wheelmark index with generated
files, which serves both: bandersnatch asks its simple API, `wheelmark mirror` its signed tree.

- first copy: an empty directory, everything is fetched. Both check the digest of every file;
  `wheelmark mirror` verifies the whole signed chain on top of that, and flushes what it writes.
- no change: the same again at once, when there is nothing new.
- verification: `wheelmark verify --from-scratch` of the copy, and `sha256sum` of the very same
  files, both with a warm page cache. What counts is bytes a second.

The time of a run is that of the whole command. Rounds follow each other in turns, each with
directories of its own; figures are medians. The last line is JSON.

    WHEELMARK_BIN=… python tests/e2e/bench_mirror.py [--projects N] [--rounds N] [--large N]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.bandersnatch import Bandersnatch
from harness.distributions import wheel
from harness.index import Index
from harness.sandbox import Sandbox, environment

# What the index has: small files as most are, and some that are large.
FILES_OF_A_PROJECT = 4
PAYLOAD = 20_000
LARGE = 64 << 20

TARGETS = {"first": 2.0, "no_change": 20.0, "verify": 0.7}


def main() -> int:
    options = argparse.ArgumentParser(description="copies beside bandersnatch's")
    options.add_argument("--projects", type=int, default=200)
    options.add_argument("--large", type=int, default=4, metavar="N", help=f"files of {LARGE >> 20} MiB")
    options.add_argument("--rounds", type=int, default=5)
    args = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="wheelmark-bench-", dir=os.environ.get("TMPDIR")) as folder:
        bench = Bench(Path(folder), Path(os.environ["WHEELMARK_BIN"]))
        try:
            figures = bench.measure(args.projects, args.large, args.rounds)
        finally:
            bench.index.kill()
    print(json.dumps(figures))
    return 0


class Bench:
    def __init__(self, folder: Path, binary: Path) -> None:
        self.folder, self.binary = folder, binary
        (folder / "index").mkdir()
        env = environment(folder / "index")
        Path(env["TMPDIR"]).mkdir(parents=True)
        self.index = Index(binary, folder / "index" / "data", env, bins=256).start()
        self.sandbox = Sandbox(folder / "user", binary)

    def measure(self, projects: int, large: int, rounds: int) -> dict:
        files, size = self.publish(projects, large)
        took: dict[str, list[Run]] = {}
        for number in range(rounds + 1):
            kinds: list[Callable[[Path], dict[str, Run]]] = [self.bandersnatch, self.wheelmark]
            for kind in kinds if number % 2 else reversed(kinds):
                copy = self.folder / "copies" / f"{number}-{kind.__name__}"
                copy.mkdir(parents=True)
                for name, run in kind(copy).items():
                    # The first round fills the machine's caches.
                    if number:
                        took.setdefault(name, []).append(run)
        return {"bench": "mirror", "files": files, "bytes": size, "rounds": rounds} | report(took)

    def publish(self, projects: int, large: int) -> tuple[int, int]:
        dists = [
            wheel(f"bench-{number}", f"{version}.0", payload=PAYLOAD)
            for number in range(projects)
            for version in range(1, FILES_OF_A_PROJECT + 1)
        ]
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.index.publish, dists))
        size = sum(len(dist.content) for dist in dists)
        for number in range(large):
            dist = wheel(f"large-{number}", payload=LARGE)
            self.index.publish(dist)
            size += len(dist.content)
        files = len(dists) + large
        print(f"published {files} files, {size / 1e6:.0f} MB, in {time.monotonic() - began:.1f} s", flush=True)
        return files, size

    def bandersnatch(self, folder: Path) -> dict[str, "Run"]:
        settings = {"api-method": "simple", "json": "false", "workers": 10, "hash-index": "false"}
        mirror = Bandersnatch(folder, self.index.url("").rstrip("/"), mirror=settings)
        found = {"bandersnatch_first": timed(lambda: mirror.mirror(timeout=1200).ok())}
        found["bandersnatch_no_change"] = timed(lambda: mirror.mirror().ok())
        assert len(list(mirror.web.glob("packages/**/*.whl"))) == self.count()
        return found

    def wheelmark(self, folder: Path) -> dict[str, "Run"]:
        copy = folder / "copy"
        command = ["mirror", self.index.index_url, copy, "--root", self.index.root_file]
        found = {"wheelmark_first": timed(lambda: self.sandbox.wheelmark(*command, timeout=1200).ok())}
        found["wheelmark_no_change"] = timed(lambda: self.sandbox.wheelmark("mirror", self.index.index_url, copy).ok())
        assert len(list(copy.glob("targets/packages/*/*.whl"))) == self.count()
        return found | self.verification(copy)

    def verification(self, copy: Path) -> dict[str, "Run"]:
        """Each reads the same files; plain names are further names of them."""
        parts = ("metadata", "targets", "simple")
        files = [path for part in parts for path in (copy / part).rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        listed = "\0".join(str(path) for path in sorted(files)) + "\0"
        sums = ["xargs", "-0", "sha256sum"]
        words = ["verify", copy, "--root", self.index.root_file, "--from-scratch", "--json"]

        def plain() -> None:
            subprocess.run(sums, input=listed.encode(), stdout=subprocess.DEVNULL, check=True)

        def ours() -> None:
            said = json.loads(self.sandbox.wheelmark(*words).ok().out)["targets"][0]
            assert said["counts"]["files"] == self.count() and said["counts"]["recorded"] == 0
            assert said["counts"]["bytes_read"] > 0.98 * (size - slack(copy)), (said["counts"], size)

        plain()
        runs = {"sha256sum": timed(plain, size), "verify": timed(ours, size)}
        shutil.rmtree(copy)
        return runs

    def count(self) -> int:
        return len(list(self.index.tree.glob("targets/packages/*/*.whl")))


def slack(copy: Path) -> int:
    """What lies there for earlier readers and is named by nothing now."""
    newest = {}
    for path in (copy / "metadata").iterdir():
        version, _, role = path.name.partition(".")
        if version.isdigit():
            newest[role] = max(newest.get(role, (0, 0)), (int(version), path.stat().st_size))
    total = sum(path.stat().st_size for path in (copy / "metadata").iterdir())
    return total - sum(size for _, size in newest.values())


class Run:
    """How long something took, the processor time of its commands, and the bytes that it read."""

    def __init__(self, took: float, used: float, size: int) -> None:
        self.took, self.used, self.size = took, used, size


def timed(what: Callable[[], object], size: int = 0) -> Run:
    used, began = processor_time(), time.perf_counter()
    what()
    return Run(time.perf_counter() - began, processor_time() - used, size)


def processor_time() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def report(took: dict[str, list[Run]]) -> dict:
    figures: dict[str, object] = {}
    print(f"\n{'':<26}{'median':>10}{'fastest':>10}{'slowest':>10}{'processor':>11}")
    for name, runs in took.items():
        times = [run.took for run in runs]
        figures[f"{name}_s"] = round(statistics.median(times), 4)
        used = statistics.median(run.used for run in runs)
        figures[f"{name}_processor_s"] = round(used, 4)
        print(f"  {name:<24}{figures[f'{name}_s']:>8.3f} s{min(times):>8.3f} s{max(times):>8.3f} s{used:>9.3f} s")
    ratios = {
        "first": figures["bandersnatch_first_s"] / figures["wheelmark_first_s"],
        "no_change": figures["bandersnatch_no_change_s"] / figures["wheelmark_no_change_s"],
        "verify": figures["sha256sum_s"] / figures["verify_s"],
    }
    size = took["verify"][0].size
    for name in ("sha256sum", "verify"):
        figures[f"{name}_bytes_a_second"] = round(size / figures[f"{name}_s"])
    print(f"\n{'':<52}{'ratio':>8}  target")
    for name, words in (
        ("first", "first copy, times faster than bandersnatch"),
        ("no_change", "no change, times faster than bandersnatch"),
        ("verify", "verification, bytes a second beside sha256sum"),
    ):
        met = "met" if ratios[name] >= TARGETS[name] else "missed"
        figures[f"{name}_ratio"] = round(ratios[name], 3)
        print(f"  {words:<50}{ratios[name]:>8.2f}  {TARGETS[name]:.1f} {met}")
    print(
        f"  {size / 1e6:.0f} MB: sha256sum {figures['sha256sum_bytes_a_second'] / 1e6:.0f} MB/s,"
        f" verify {figures['verify_bytes_a_second'] / 1e6:.0f} MB/s"
    )
    return figures


if __name__ == "__main__":
    sys.exit(main())
