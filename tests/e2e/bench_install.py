"""What verification costs an installation: `cargo xtask bench install`.

Time. uv installs 200 small packages from one running index, alternately by itself and through
`wheelmark exec`, each time into an empty virtual environment that was made before the clock
starts. `exec` gives uv an empty cache of its own on purpose, because a warm one would install
without a single check; so uv by itself begins with an empty cache, too, in every round. What
differs between cold and warm is what *we* keep:

- cold: the trust store holds the root and the record of trust, nothing else: the whole chain,
  every delegated role and every page is fetched and verified;
- warm: the trust store is the one that the round before left behind.

The time of a run is that of the whole command, its start, its summary and the removal of the
private cache included. The rounds of the kinds follow each other in turns, and the ratio is
that of the medians. uv by itself with its cache kept is printed beside them: nothing is
downloaded then, and nothing verified; we have no answer to that and claim none.

Memory. A wheel of 1 GiB, published by `uv publish`, is installed through `wheelmark exec` and
fetched from `wheelmark proxy`; the figure is the highest resident set that the kernel saw
(VmHWM), beside the one after an ordinary small package.

The last line is JSON.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path

from harness.distributions import core_metadata, wheel
from harness.index import Index, free_port
from harness.sandbox import TOOLS, Sandbox, Venv, environment

PACKAGES = 200
PAYLOAD = 8_000
LARGE = 1 << 30

TARGETS = {"cold": 1.10, "warm": 1.05}
MEMORY_TARGET = 64 << 20


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--packages", type=int, default=PACKAGES)
    options.add_argument("--without-memory", action="store_true")
    options.add_argument("--without-time", action="store_true")
    args = options.parse_args()
    binary = Path(os.environ["WHEELMARK_BIN"])
    with tempfile.TemporaryDirectory(prefix="wheelmark-bench-", dir=os.environ.get("TMPDIR")) as folder:
        bench = Bench(Path(folder), binary)
        try:
            figures = {"bench": "install", "packages": args.packages, "rounds": args.rounds}
            if not args.without_time:
                figures |= bench.times(args.packages, args.rounds)
            if not args.without_memory:
                figures |= bench.memory()
        finally:
            bench.index.kill()
    print(json.dumps(figures))
    return 0


class Bench:
    """An index, and somebody who installs from it."""

    def __init__(self, folder: Path, binary: Path) -> None:
        self.folder, self.binary = folder, binary
        (folder / "index").mkdir()
        env = environment(folder / "index")
        Path(env["TMPDIR"]).mkdir(parents=True)
        self.index = Index(binary, folder / "index" / "data", env, bins=256)
        self.index.start()
        self.sandbox = Sandbox(folder / "user", binary)
        self.sandbox.trust(self.index)
        self.home = Path(self.sandbox.env["WHEELMARK_HOME"])
        self.cache = Path(self.sandbox.env["UV_CACHE_DIR"])
        self.venv = self.sandbox.venv()

    # Time.

    def times(self, packages: int, rounds: int) -> dict:
        names = [f"bench-{number}" for number in range(packages)]
        began = time.monotonic()
        self.index.publish(*(wheel(name, payload=PAYLOAD) for name in names))
        print(f"published {packages} packages in {time.monotonic() - began:.1f} s", flush=True)
        kinds = {
            "plain": lambda: self.plain(names),
            "cold": lambda: self.exec(names, cold=True),
            "warm": lambda: self.exec(names, cold=False),
            "cached": lambda: self.plain(names, keep_cache=True),
        }
        took: dict[str, list[float]] = {kind: [] for kind in kinds}
        # One round for the machine's own caches. Its end is what the first warm round begins with.
        for run in kinds.values():
            run()
        for number in range(rounds):
            order = list(kinds) if number % 2 == 0 else list(reversed(kinds))
            for kind in order:
                took[kind].append(kinds[kind]())
        return report(took)

    def plain(self, names: list[str], *, keep_cache: bool = False) -> float:
        if not keep_cache:
            shutil.rmtree(self.cache, ignore_errors=True)
        url = self.index.index_url
        return self.timed(names, "uv", *INSTALL, self.empty().python, "--default-index", url)

    def exec(self, names: list[str], *, cold: bool) -> float:
        if cold:
            self.forget_chain()
        return self.timed(names, self.binary, "exec", "--", "uv", *INSTALL, self.empty().python)

    def timed(self, names: list[str], *command: object) -> float:
        began = time.perf_counter()
        done = self.sandbox.run(*command, *names)
        took = time.perf_counter() - began
        done.ok()
        assert len(self.venv.installed()) == len(names), done
        return took

    def empty(self) -> Venv:
        """The virtual environment, with nothing in it any more."""
        for site in self.venv.path.glob("lib/*/site-packages"):
            shutil.rmtree(site)
            site.mkdir()
        return self.venv

    def forget_chain(self) -> None:
        """Leaves of the trust store what trust itself is."""
        for index in (self.home / "indexes").iterdir():
            for kept in index.iterdir() if index.is_dir() else ():
                if kept.is_dir():
                    shutil.rmtree(kept)
                elif kept.name not in ("index.toml", "root.json"):
                    kept.unlink()

    # Memory.

    def memory(self) -> dict:
        large = large_wheel(self.folder / "dist")
        began = time.monotonic()
        self.sandbox.uv_publish(self.index, large, timeout=600).ok()
        large.unlink()
        print(f"published a wheel of {LARGE >> 20} MiB in {time.monotonic() - began:.1f} s", flush=True)
        small = wheel("bench-small", payload=PAYLOAD)
        self.index.publish(small)
        figures = self.memory_of_proxy(small.filename, large.name) | self.memory_of_exec()
        print(f"\nhighest resident set, target below {MEMORY_TARGET >> 20} MiB:")
        for name in ("proxy", "exec"):
            with_large, without = (figures[f"{name}_{kind}_bytes"] for kind in ("large", "small"))
            print(f"  wheelmark {name:<6}{mib(with_large)} with a wheel of {LARGE >> 20} MiB, {mib(without)} without it")
        return figures

    def memory_of_proxy(self, small: str, large: str) -> dict:
        command = [self.binary, "proxy", "--listen", f"127.0.0.1:{free_port()}"]
        process = subprocess.Popen(command, env=self.sandbox.env, stdout=subprocess.PIPE, text=True)
        try:
            url = None
            while url is None:
                line = process.stdout.readline()
                assert line, "the proxy ended"
                url = re.search(r"http://\S+/simple/", line)
            base = url.group().removesuffix("simple/")
            fetch(f"{base}packages/bench-small/{small}")
            before = peak(process.pid)
            length = fetch(f"{base}packages/bench-large/{large}")
            assert length > LARGE
            return {"proxy_small_bytes": before, "proxy_large_bytes": peak(process.pid)}
        finally:
            process.terminate()
            process.wait(20)

    def memory_of_exec(self) -> dict:
        figures = {}
        for kind in ("small", "large"):
            command = [self.binary, "exec", "--", "uv", *INSTALL, self.empty().python, f"bench-{kind}"]
            env = self.sandbox.env | {"UV_LINK_MODE": "hardlink"}
            process = subprocess.Popen([str(word) for word in command], env=env, stderr=subprocess.PIPE)
            highest = 0
            while process.poll() is None:
                highest = max(highest, peak(process.pid) or 0)
                time.sleep(0.01)
            assert process.returncode == 0, process.stderr.read()
            figures[f"exec_{kind}_bytes"] = highest
        self.empty()
        return figures


INSTALL = ("pip", "install", "--quiet", "--no-deps", "--python")


def report(took: dict[str, list[float]]) -> dict:
    plain = statistics.median(took["plain"])
    print(f"\n{'':<28}{'median':>9}{'fastest':>9}{'slowest':>9}{'ratio':>8}  target")
    figures: dict[str, object] = {}
    for kind, name in (
        ("plain", "uv, empty cache"),
        ("cold", "through exec, cold"),
        ("warm", "through exec, warm"),
        ("cached", "uv, its cache kept"),
    ):
        median = statistics.median(took[kind])
        figures[f"{kind}_s"] = round(median, 4)
        line = f"  {name:<26}{median:>7.3f} s{min(took[kind]):>7.3f} s{max(took[kind]):>7.3f} s{median / plain:>8.3f}"
        if kind in TARGETS:
            figures[f"{kind}_ratio"] = round(median / plain, 4)
            met = "met" if median / plain <= TARGETS[kind] else "missed"
            line += f"  {TARGETS[kind]:.2f} {met}"
        print(line)
    return figures


def large_wheel(folder: Path) -> Path:
    """A wheel with one member of 1 GiB that does not compress, in pieces that are all the same."""
    folder.mkdir()
    block = os.urandom(1 << 24)
    digest = hashlib.sha256()
    info = "bench_large-1.0.dist-info"
    path = folder / "bench_large-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        payload = zipfile.ZipInfo("bench_large.bin", (2024, 1, 1, 0, 0, 0))
        payload.external_attr = 0o100644 << 16
        payload.file_size = LARGE
        with archive.open(payload, "w") as member:
            for _ in range(LARGE // len(block)):
                member.write(block)
                digest.update(block)
        sha256 = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
        members = {
            f"{info}/METADATA": core_metadata("bench-large", "1.0"),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        rows = [f"bench_large.bin,sha256={sha256},{LARGE}", *(f"{name},," for name in members)]
        members[f"{info}/RECORD"] = ("\n".join([*rows, f"{info}/RECORD,,"]) + "\n").encode()
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), content)
    return path


def fetch(url: str) -> int:
    """Reads a file to its end, as fast as it comes; its length."""
    length = 0
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=300) as answer:
        while piece := answer.read(1 << 20):
            length += len(piece)
    return length


def peak(pid: int) -> int:
    """The highest resident set of a process so far, in bytes; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def mib(length: int) -> str:
    return f"{length / (1 << 20):>7.1f} MiB"


if __name__ == "__main__":
    assert (TOOLS / "uv").is_file(), f"{sys.executable} lacks uv: pip install -r tests/e2e/requirements.txt"
    sys.exit(main())
