"""Where does what came in wait while the server is away? In files of this machine, until it can be counted and kept.

One directory a process, `HEADWAY_HOME/spool/<name>`, whose lock the kernel drops when the process ends, however it
ends; then any other gateway of this home adopts it. What is put is on the disk (fsync) when the caller hears so;
records that arrive together share one fsync. Files are replayed in their order, from where the last replay had come to.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from gateway.problems import Unavailable
from gateway.spool_files import Directory, Record, Segment, SpoolFull, lay_aside, orphans
from runtime.telemetry import Event, get_logger

T = TypeVar("T")

#: Records that are replayed together.
A_CHUNK = 100
#: Between two looks for what other processes left, in seconds.
_ADOPT_EVERY_S = 1.0
_LOOK_EVERY_S = 0.25

#: Takes records, and returns those that can't ever be taken. Raises whatever says "not now".
Take = Callable[[Sequence[Record]], Awaitable[Sequence[Record]]]

_log = get_logger("gateway")


class Spool:
    """The spool of one process; used from one event loop, its files from one thread."""

    def __init__(self, home: Path) -> None:
        """Take HEADWAY_HOME; nothing is made there before something is put."""
        self._root = home / "spool"
        self._own = Directory(self._root)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._waiting: list[tuple[Record, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._held: Counter[tuple[str, str]] = Counter()
        self._replaying: asyncio.Task[None] | None = None
        #: What other processes left, in our hands.
        self._left: list[Directory] = []

    def holds(self, number: str, contact: str) -> bool:
        """Whether something of a contact waits here, so that news of it must wait behind it."""
        return (number, contact) in self._held

    async def put(self, record: Record) -> None:
        """Write a record down; it is safe when this returns. Raises Unavailable when the disk is full or refuses."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._held[record.line] += 1
        self._waiting.append((record, done))
        if self._writing is None:
            self._writing = loop.create_task(self._write_all())
        await asyncio.shield(done)

    def start(self, take: Take, *, away: Callable[[], str]) -> None:
        """Replay from now on whatever is here, while `away` says nothing.

        What former processes left is looked through before this returns: from then on `holds` tells of it too.
        """
        self._adopt(_found(self._root))
        self._replaying = asyncio.get_running_loop().create_task(self._replay_for_ever(take, away))

    async def close(self) -> None:
        """Stop replaying, and let go of the files; what is in them is adopted by the next process."""
        if self._replaying is not None:
            self._replaying.cancel()
            await asyncio.wait([self._replaying])
        if self._writing is not None:
            await self._writing
        for directory in (self._own, *self._left):
            await self._on_thread(directory.close)
        self._thread.shutdown()

    async def replay(self, take: Take) -> int:
        """Hand over everything in this process's own files; return how many records that were."""
        return await self._emptied(self._own, take)

    async def adopt(self, take: Take) -> int:
        """Hand over everything that processes left which are no more; return how many records that were."""
        self._adopt(await self._on_thread(partial(_found, self._root)))
        count = 0
        while self._left:
            count += await self._emptied(self._left[0], take)
            await self._on_thread(self._left.pop(0).close)
        return count

    def _adopt(self, found: Sequence[tuple[Directory, Counter[tuple[str, str]]]]) -> None:
        """Take into our hands what was left, and note whose line it is in."""
        for directory, lines in found:
            self._held.update(lines)
            self._left.append(directory)

    async def _emptied(self, directory: Directory, take: Take) -> int:
        count = 0
        while segment := await self._on_thread(directory.oldest):
            count += await self._replay_segment(segment, take)
        return count

    async def _write_all(self) -> None:
        """Write batch after batch until nothing waits; whatever goes wrong reaches those who wait for it."""
        while self._waiting:
            batch, self._waiting = self._waiting, []
            data = b"".join(record.as_line() for record, _ in batch)
            problem: Exception | None = None
            try:
                if await self._on_thread(partial(self._own.append, data)):
                    _log.warning(Event.SPOOL_BEGUN, directory=str(self._root))
            except (SpoolFull, OSError) as error:
                _log.error(Event.SPOOL_FAILED, problem=str(error))
                problem = Unavailable("the server is away, and this can't be written down: send it again later")
            for record, done in batch:
                if problem is not None:
                    self._let_go(record)
                    done.set_exception(problem)
                else:
                    done.set_result(None)
        self._writing = None

    async def _replay_for_ever(self, take: Take, away: Callable[[], str]) -> None:
        loop = asyncio.get_running_loop()
        adopt_at = 0.0
        while True:
            try:
                if not away():
                    count = 0
                    if loop.time() >= adopt_at:
                        adopt_at = loop.time() + _ADOPT_EVERY_S
                        count += await self.adopt(take)
                    if self._held:
                        count += await self.replay(take)
                    if count:
                        _log.info(Event.SPOOL_REPLAYED, records=count)
            except Exception as problem:  # noqa: BLE001  nothing is lost by it: what wasn't replayed stays
                _log.warning(Event.SPOOL_WAITS, problem=f"{type(problem).__name__}: {problem}")
                await asyncio.sleep(1)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _replay_segment(self, segment: Segment, take: Take) -> int:
        count = 0
        while chunk := await self._on_thread(partial(segment.read, A_CHUNK)):
            records = [record for record in chunk.records if record is not None]
            if len(records) < len(chunk.records):
                _log.error(Event.SPOOL_SKIPPED, file=segment.path.name, records=len(chunk.records) - len(records))
            refused = await take(records)
            if refused:
                await self._on_thread(partial(lay_aside, self._root, refused))
            await self._on_thread(partial(segment.done_to, chunk.end))
            count += len(records)
            for record in records:
                self._let_go(record)
        await self._on_thread(segment.remove)
        return count

    def _let_go(self, record: Record) -> None:
        self._held[record.line] -= 1
        if self._held[record.line] <= 0:
            del self._held[record.line]

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _found(root: Path) -> list[tuple[Directory, Counter[tuple[str, str]]]]:
    """Return what processes left that are no more, each with whose records wait in it."""
    return [(left, left.lines()) for left in orphans(root)]
