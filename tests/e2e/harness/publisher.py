"""Somebody who publishes all the time, while others read."""

from __future__ import annotations

import threading
import time

from .distributions import Distribution, wheel
from .index import Index


class Publisher:
    """Uploads new versions of a few projects, one after the other, until the block ends.

    What was published is in `done`, in that order; it can be read at any time.
    """

    def __init__(self, index: Index, projects: int = 5, pause: float = 0.05, payload: int = 0) -> None:
        self._index, self._projects, self._pause, self._payload = index, projects, pause, payload
        self.done: list[Distribution] = []
        self._failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)

    def _publish(self) -> None:
        number = 0
        try:
            while not self._stop.wait(self._pause):
                number += 1
                name = f"busy-{number % self._projects}"
                dist = wheel(name, f"1.{number}", says=f"number {number}", payload=self._payload)
                self._index.publish(dist)
                self.done.append(dist)
        except BaseException as error:  # told by the thread that waits
            self._failure = error

    def __enter__(self) -> "Publisher":
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        self.stop(told=kind is None)

    def stop(self, told: bool = True) -> None:
        self._stop.set()
        self._thread.join(120)
        if told and self._failure is not None:
            raise self._failure

    def wait_for(self, number: int) -> None:
        """Waits until so many files were published."""
        deadline = time.monotonic() + 60
        while len(self.done) < number:
            if self._failure is not None:
                raise self._failure
            assert time.monotonic() < deadline, "nobody publishes"
            time.sleep(0.02)

    def latest(self) -> dict[str, Distribution]:
        """The last version of each project."""
        return {dist.project: dist for dist in list(self.done)}
