"""A program stopped at any step by which it changes files: the crash matrix's own tracer.

    python steps.py --root DIR --log FILE [--armed] [--die "KIND" N] -- PROGRAM …

The program runs as it is, without any help inside it: Linux tells this process of each system call
that changes a file (open for creating, link, rename, unlink, write, flush), before it happens. Each
is a step of a kind, such as `link repository/targets/packages/*/*.whl`; the log has them all, from the
moment that SIGUSR1 came, or from the start with `--armed`. With `--die`, the program is killed with signal 9 instead of taking the n-th
step of that kind.

Needs Linux, and Python alone: `ptrace(2)`, `seccomp(2)`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# Which system calls change files: those that the program's libraries use, and their older forms.
CALLS = {
    "x86_64": {
        1: "write", 18: "write", 20: "write", 296: "write", 257: "openat", 2: "open", 74: "flush", 75: "flush",
        306: "flush", 77: "truncate", 82: "rename", 264: "renameat", 316: "renameat", 86: "link", 265: "linkat",
        87: "unlink", 263: "unlinkat", 84: "unlink", 83: "mkdir", 258: "mkdirat",
    },
    "aarch64": {
        64: "write", 66: "write", 68: "write", 70: "write", 56: "openat", 82: "flush", 83: "flush", 267: "flush",
        46: "truncate", 38: "renameat", 276: "renameat", 37: "linkat", 35: "unlinkat", 34: "mkdirat",
    },
}
O_CREAT = os.O_CREAT
WALL = 0x40000000  # wait(2), __WALL: threads, too

TRACEME, CONT, SETOPTIONS, GET_SYSCALL_INFO = 0, 7, 0x4200, 0x420E
# Forks, vforks, clones and execs are followed; seccomp tells; who traces is not outlived.
OPTIONS = 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x100000
EVENT_SECCOMP = 7


def why_not() -> str | None:
    """Why a program cannot be stopped at its steps here."""
    if sys.platform != "linux" or platform.machine() not in CALLS:
        return "needs Linux on x86-64 or arm64"
    return None


# The child: tells of these calls, and becomes the program.


def _demand_told(calls: Sequence[int]) -> None:
    """Has the kernel stop at these system calls, of this process and of what it becomes."""
    allow, tell = 0x7FFF0000, 0x7FF00000
    code = [(0x20, 0, 0, 0)]  # load the number of the call
    code += [(0x15, len(calls) - n, 0, number) for n, number in enumerate(calls)]
    code += [(0x06, 0, 0, allow), (0x06, 0, 0, tell)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))

    class Filter(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]

    libc = ctypes.CDLL(None, use_errno=True)
    wanted = Filter(len(code), ctypes.addressof(program))
    for words in ((38, 1, 0, 0, 0), (22, 2, ctypes.byref(wanted), 0, 0)):  # no new privileges; the filter
        if libc.prctl(*words) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def _become(command: Sequence[str], calls: Sequence[int]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(TRACEME, 0, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    os.kill(os.getpid(), signal.SIGSTOP)
    _demand_told(calls)
    os.execv(command[0], list(command))


# The parent: hears of the calls.


class Tracer:
    def __init__(self, root: Path, log: Path, die: tuple[str, int] | None) -> None:
        self.root, self.die, self.armed = str(root.resolve()), die, False
        self._log = log.open("a", buffering=1)
        self._calls = CALLS[platform.machine()]
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.ptrace.restype = ctypes.c_long
        self._seen: dict[str, int] = {}
        self._known: set[int] = set()

    def _ptrace(self, what: int, pid: int, at: object = None, data: object = None) -> None:
        call = self._libc.ptrace(ctypes.c_long(what), ctypes.c_long(pid), ctypes.c_void_p(at), data)
        if call < 0 and ctypes.get_errno() != 3:  # gone
            raise OSError(ctypes.get_errno(), f"ptrace {what}")

    def run(self, command: Sequence[str]) -> int:
        main = os.fork()
        if main == 0:
            try:
                _become(command, list(self._calls))
            finally:
                os._exit(127)
        os.waitpid(main, WALL)
        self._ptrace(SETOPTIONS, main, None, ctypes.c_void_p(OPTIONS))
        self._known.add(main)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda how, _frame: self._hand_on(main, how))
        self._ptrace(CONT, main)
        while True:
            thread, status = os.waitpid(-1, WALL)
            if thread == main and (os.WIFEXITED(status) or os.WIFSIGNALED(status)):
                return os.waitstatus_to_exitcode(status)
            if os.WIFSTOPPED(status):
                self._go_on(main, thread, status)

    @staticmethod
    def _hand_on(main: int, how: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(main, how)

    def _go_on(self, main: int, thread: int, status: int) -> None:
        event, how = status >> 16, os.WSTOPSIG(status)
        if event == EVENT_SECCOMP:
            if self.armed and (step := self._step(thread)) and self._is_last(step):
                os.kill(main, signal.SIGKILL)
                return
            how = 0
        elif event or how == signal.SIGTRAP:
            how = 0
        elif thread not in self._known:  # a new thread begins with a stop
            how = 0 if how == signal.SIGSTOP else how
        self._known.add(thread)
        self._ptrace(CONT, thread, None, ctypes.c_void_p(how))

    def _is_last(self, step: str) -> bool:
        self._seen[step] = count = self._seen.get(step, 0) + 1
        is_last = self.die == (step, count)
        self._log.write(f"{'killed before ' if is_last else ''}{step}\n")
        return is_last

    def _step(self, thread: int) -> str | None:
        """What the call is about to do, if it changes a file below the root."""
        info = ctypes.create_string_buffer(88)
        self._ptrace(GET_SYSCALL_INFO, thread, len(info), info)
        number, *args = struct.unpack_from("7Q", info, 24)
        call = self._calls.get(number, "")
        try:
            match call:
                case "openat":
                    path = self._at(thread, args[0], args[1]) if args[2] & O_CREAT else None
                case "open":
                    path = self._at(thread, None, args[0]) if args[1] & O_CREAT else None
                case "write" | "flush" | "truncate":
                    path = os.readlink(f"/proc/{thread}/fd/{args[0]}")
                case "linkat" | "renameat":
                    path = self._at(thread, args[2], args[3])
                case "link" | "rename":
                    path = self._at(thread, None, args[1])
                case "unlinkat" | "mkdirat":
                    path = self._at(thread, args[0], args[1])
                case _:
                    path = self._at(thread, None, args[0])
        except (OSError, ValueError):
            return None
        if path is None or not path.startswith(self.root + "/"):
            return None
        call = {"openat": "create", "open": "create"}.get(call, call.removesuffix("at"))
        return f"{call} {kind_of(path[len(self.root) + 1 :])}"

    @staticmethod
    def _at(thread: int, folder: int | None, address: int) -> str:
        with open(f"/proc/{thread}/mem", "rb", 0) as memory:
            memory.seek(address)
            # A path may end right before memory that cannot be read.
            text = memory.read(min(4096, 4096 - address % 4096 or 4096))
            if b"\0" not in text:
                text += memory.read(4096)
        path = text.split(b"\0")[0].decode()
        if path.startswith("/"):
            return path
        is_here = folder is None or folder & 0xFFFFFFFF == 0xFFFFFF9C  # AT_FDCWD
        base = os.readlink(f"/proc/{thread}/cwd" if is_here else f"/proc/{thread}/fd/{folder}")
        return f"{base}/{path}"


def kind_of(path: str) -> str:
    """A path without what differs from one run to the next."""
    path = path.removesuffix(" (deleted)")
    if "/.incoming" in path:
        return re.sub(r"/\.incoming.*", "/.incoming/*", path)
    path = re.sub(r"\b[0-9a-f]{64}\b", "*", path)
    path = re.sub(r"(metadata)/\d+\.", r"\1/N.", path)
    path = re.sub(r"(simple|packages)-[0-9a-f]+\.json", r"\1-B.json", path)
    path = re.sub(r"[^/]*(\.whl(\.metadata)?|\.tar\.gz|\.chunks)$", r"*\1", path)
    path = re.sub(r"\.wheelmark-\w+|\.plan-\w+", "*", path)
    return re.sub(r"\.tmp[^/]*|[^/]*\.new", "*", path)


# What a test does with it.


def traced(
    root: Path, log: Path, command: Sequence[object], die: tuple[str, int] | None = None, *, armed: bool = False
) -> list[str]:
    """The command that runs another one at whose steps it can be stopped."""
    words: list[object] = [sys.executable, __file__, "--root", root, "--log", log]
    words += ["--armed"] if armed else []
    words += ["--die", *die] if die else []
    return [str(word) for word in (*words, "--", *command)]


def arm(tracer: subprocess.Popen, log: Path) -> None:
    """From now on, steps count."""
    before = log.read_text().count("armed\n") if log.exists() else 0
    tracer.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + 20
    while not log.exists() or log.read_text().count("armed\n") == before:
        assert tracer.poll() is None and time.monotonic() < deadline, "the tracer does not answer"
        time.sleep(0.01)


def steps(log: Path) -> list[str]:
    """The steps that were taken, in their order."""
    return [line for line in log.read_text().splitlines() if line != "armed"]


def main(words: list[str]) -> int:
    options, command = words[: words.index("--")], words[words.index("--") + 1 :]
    said = {name: options[options.index(name) + 1] for name in ("--root", "--log")}
    at = options.index("--die") if "--die" in options else None
    die = (options[at + 1], int(options[at + 2])) if at is not None else None
    tracer = Tracer(Path(said["--root"]), Path(said["--log"]), die)

    def begin(*_signal: object) -> None:
        tracer.armed = True
        tracer._log.write("armed\n")

    signal.signal(signal.SIGUSR1, begin)
    if "--armed" in options:
        begin()
    return tracer.run(command)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    # As the program ended, so ends this.
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL,) else None
        os.kill(os.getpid(), -code)
    sys.exit(code)
