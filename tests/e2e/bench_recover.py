"""`wheelmark recover plan` on a large index in which somebody with the online key changed something here and there.

An index with 256 bins gets N files in N/10 projects, all signed as its online key signs them; that is the last good
state. Then the planted changes: files added, exchanged, removed without a trace, yanked, moved to `removed`, marked
otherwise, and files that a role lists otherwise than the page. All of them, and no others, have to be in the plan.
Time is that of the command, from its start to its end, with pages in the system's cache; memory is its highest
resident set. The last line is JSON.

    WHEELMARK_BIN=… python tests/e2e/bench_recover.py [--files N] [--changes N] [--rounds N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from harness.index import Index
from harness.online_key import OnlineKey
from harness.sandbox import environment

FILES_OF_A_PROJECT = 10
KINDS = ("added", "changed", "vanished", "yanked", "removed", "entry", "target")
DAY = "2026-11-21T10:00:00Z"


def content_of(project: str, number: int) -> bytes:
    return f"{project} {number}".encode()


def entry(project: str, number: int, content: bytes) -> dict:
    filename = f"{project}-{number}.0.tar.gz"
    return {
        "_wheelmark": {"signed": "at-upload", "signed-at": DAY},
        "filename": filename,
        "gpg-sig": False,
        "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
        "size": len(content),
        "upload-time": DAY,
        "url": f"../../packages/{project}/{filename}",
        "yanked": False,
    }


def page_of(project: str) -> dict:
    files = [entry(project, number, content_of(project, number)) for number in range(FILES_OF_A_PROJECT)]
    return {
        "files": files,
        "meta": {"api-version": "1.4"},
        "name": project,
        "versions": [f"{number}.0" for number in range(FILES_OF_A_PROJECT)],
    }


def name_of(number: int) -> str:
    return f"p{hashlib.sha256(str(number).encode()).hexdigest()[:6]}-{number}"


def plant(page: dict, kind: str, number: int, targets: dict[str, bytes | None]) -> str:
    """Changes something of a page; gives back the file that is meant."""
    project = page["name"]
    old = page["files"][number]
    path = f"packages/{project}/{old['filename']}"
    evil = f"evil {project} {number}".encode()
    if kind == "added":
        new = entry(project, 900 + number, evil)
        page["files"].append(new)
        page["versions"].append(f"{900 + number}.0")
        targets[f"packages/{project}/{new['filename']}"] = evil
        return new["filename"]
    if kind == "changed":
        page["files"][number] = entry(project, number, evil)
        targets[path] = evil
    elif kind == "vanished":
        page["files"][number] = None
        targets[path] = None
    elif kind == "removed":
        page["files"][number] = None
        removed = page.setdefault("_wheelmark", {}).setdefault("removed", {})
        removed[old["filename"]] = {"entry": old, "removed-at": DAY}
        targets[path] = None
    elif kind == "yanked":
        old["yanked"] = "no reason"
    elif kind == "entry":
        old["requires-python"] = ">=2"
    elif kind == "target":
        targets[path] = evil
    return old["filename"]


def planted(pages: dict[str, dict], count: int, thief: OnlineKey) -> set[tuple[str, str, str]]:
    chosen = random.Random(458)
    places = chosen.sample([(name, number) for name in pages for number in range(FILES_OF_A_PROJECT)], count)
    changed: dict[str, dict] = {}
    targets: dict[str, bytes | None] = {}
    found = set()
    for turn, (name, number) in enumerate(places):
        kind = KINDS[turn % len(KINDS)]
        filename = plant(pages[name], kind, number, targets)
        found.add((name, kind, filename))
        if kind != "target":
            changed[name] = pages[name]
    for page in changed.values():
        page["files"] = [file for file in page["files"] if file is not None]
    thief.rewrite(changed.values(), targets)
    return found


def measured(command: list[str], env: dict[str, str]) -> tuple[float, int]:
    """Seconds, and bytes of memory."""
    began = time.perf_counter()
    process = os.posix_spawn(command[0], command, env)
    _, status, usage = os.wait4(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0, command
    return time.perf_counter() - began, usage.ru_maxrss * 1024


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--files", type=int, default=200_000)
    arguments.add_argument("--changes", type=int, default=500)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "wheelmark-recover")
    options = arguments.parse_args()
    folder: Path = options.folder
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tmp").mkdir(parents=True)
    binary = Path(os.environ["WHEELMARK_BIN"]).absolute()
    index = Index(binary, folder / "data", environment(folder), bins=256)
    index.start()
    index.stop()

    key = OnlineKey(index)
    began = time.perf_counter()
    pages = {name: page_of(name) for name in map(name_of, range(options.files // FILES_OF_A_PROJECT))}
    targets: dict[str, bytes | None] = {
        f"packages/{name}/{file['filename']}": content_of(name, number)
        for name, page in pages.items()
        for number, file in enumerate(page["files"])
    }
    key.rewrite(pages.values(), targets)
    good = folder / "good"
    shutil.copytree(index.tree / "metadata", good / "metadata")
    shutil.copytree(index.tree / "targets", good / "targets", copy_function=os.link)
    expected = planted(pages, options.changes, key)
    print(f"{len(targets)} files in {len(pages)} projects, made in {time.perf_counter() - began:.0f} s", file=sys.stderr)

    times, memory = [], []
    for round in range(options.rounds):
        out = folder / f"recovery-{round}"
        words = ["recover", "plan", "--data", str(index.data), "--last-good", str(good), "-o", str(out), "--json"]
        seconds, most = measured([str(binary), *words], dict(index.env))
        times.append(seconds)
        memory.append(most)
        plan = json.loads((out / "plan.json").read_bytes())
        found = [
            (project["project"], change["what"], change["file"])
            for project in plan["projects"]
            for change in project["changes"]
        ]
        assert len(found) == len(set(found)) and set(found) == expected, set(found) ^ expected
        assert plan["roles"] == plan["claims"] == [], plan["roles"]
    figures = {
        "files": len(targets),
        "projects": len(pages),
        "planted": len(expected),
        "found": len(found),
        "plan_s": round_of(statistics.median(times)),
        "plan_s_all": [round_of(one) for one in times],
        "peak_memory": max(memory),
        "plan_bytes": (out / "plan.json").stat().st_size,
    }
    print(json.dumps(figures))
    shutil.rmtree(folder)


def round_of(seconds: float) -> float:
    return float(f"{seconds:.2f}")


if __name__ == "__main__":
    main()
