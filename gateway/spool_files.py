"""What do the files of a spool look like, and what of them survives which end of a process?

A record is a line of JSON; a line without its end was never promised to anybody. A file is at most SEGMENT_BYTES long,
and beside it stands how far its replay has come, so that a replay that is cut goes on from there.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from runtime.flock import FileLock

#: Bytes of one file; what is replayed at a time is read whole.
SEGMENT_BYTES = 16 * 1024 * 1024
#: Bytes of all files of a home, about: each process looks when it begins a file.
MOST_BYTES = 512 * 1024 * 1024

#: The line of what is behind nobody: no contact is called so.
NOBODY = "\n"

_LOCK = "lock"
#: Records that are looked at together.
_A_LOOK = 1000


class SpoolFull(Exception):
    """The spool holds as much as it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Something that came in while the server was away.

    Attributes:
        kind: `inbound`: a message that nobody took; `taken`: one that the app took; `receipts`; `notice`.
        number: the sending number it came in for.
        contact: whose line it is in.
        at_us: when it came, in microseconds since 1970, by this machine's clock.
        body: the provider's body; with `ready` the app's.
        answer: with `taken`, what the app answered.
        ready: it is counted and matched, and only the outbox could not take it.
        id: made up; told twice, it is the same record.
    """

    kind: str
    number: str
    contact: str
    at_us: int
    body: Mapping[str, Any]
    answer: Mapping[str, Any] = field(default_factory=dict)
    ready: bool = False
    id: str = field(default_factory=lambda: uuid4().hex)

    @property
    def line(self) -> tuple[str, str]:
        """Whose order it keeps: that of its number and contact; what was taken already is behind nobody."""
        return self.number, NOBODY if self.kind == "taken" else self.contact

    def as_line(self) -> bytes:
        """Return it as it is written: one line, ASCII."""
        return json.dumps(asdict(self), separators=(",", ":")).encode("ascii") + b"\n"


def _record(line: bytes) -> Record | None:
    """Read a line; None for one that is none of ours."""
    try:
        return Record(**json.loads(line))
    except (ValueError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some records, None for each that can't be read, and where in the file they end."""

    records: list[Record | None]
    end: int


class Segment:
    """One file that nobody writes to any more."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mark = path.with_suffix(".at")
        self._data: bytes | None = None
        self._at = 0

    def read(self, most: int) -> Chunk | None:
        """Return up to so many records from where the last replay had come to; None at the end."""
        if self._data is None:
            self._data = self.path.read_bytes()
            with contextlib.suppress(OSError, ValueError):
                self._at = int(self._mark.read_text())
        records: list[Record | None] = []
        at = self._at
        while len(records) < most and (end := self._data.find(b"\n", at) + 1):
            records.append(_record(self._data[at:end]))
            at = end
        return Chunk(records, at) if records else None

    def skip_to(self, end: int) -> None:
        """Read on from there."""
        self._at = end

    def done_to(self, end: int) -> None:
        """Note how far it was replayed. On a disk that is full it isn't noted: what is told twice counts once."""
        self.skip_to(end)
        with contextlib.suppress(OSError):
            draft = self._mark.with_suffix(".at.new")
            draft.write_text(str(end))
            draft.replace(self._mark)

    def remove(self) -> None:
        """Remove it; all of it was replayed."""
        self.path.unlink(missing_ok=True)
        self._mark.unlink(missing_ok=True)


class Directory:
    """The files of one process, made when something is put; or those that another one left."""

    def __init__(self, root: Path, *, path: Path | None = None, lock: FileLock | None = None) -> None:
        self._root = root
        self._path = path
        self._lock = lock
        self._fd: int | None = None
        self._size = 0
        #: Bytes of all files of the home when this one was begun.
        self._others = 0

    def append(self, data: bytes) -> bool:
        """Put lines at the end, on the disk; return whether a new file was begun. Raises SpoolFull and OSError."""
        begun = self._fd is None
        fd = self._begin() if self._fd is None else self._fd
        if self._others + self._size + len(data) > MOST_BYTES:
            raise SpoolFull(f"the spool holds {MOST_BYTES} bytes: it takes no more until the server is back")
        try:
            _write(fd, data)
            os.fsync(fd)
        except OSError:
            os.ftruncate(fd, self._size)
            raise
        self._size += len(data)
        if self._size >= SEGMENT_BYTES:
            self._seal()
        return begun

    def oldest(self) -> Segment | None:
        """Return the file to replay first, sealed when it was still written to; None when there is none."""
        if self._path is None:
            return None
        self._seal()
        found = sorted(self._path.glob("*.jsonl"))
        return Segment(found[0]) if found else None

    def lines(self) -> Counter[tuple[str, str]]:
        """Return whose records wait in it, and how many."""
        found: Counter[tuple[str, str]] = Counter()
        for path in sorted(self._path.glob("*.jsonl")) if self._path else ():
            segment = Segment(path)
            while chunk := segment.read(_A_LOOK):
                found.update(record.line for record in chunk.records if record is not None)
                segment.skip_to(chunk.end)
        return found

    def close(self) -> None:
        """Let go of it; without a file in it, it goes."""
        self._seal()
        if self._path is not None and not any(self._path.glob("*.jsonl")):
            with contextlib.suppress(OSError):
                for left in self._path.iterdir():
                    left.unlink()
                self._path.rmdir()
        if self._lock is not None:
            self._lock.close()

    def _begin(self) -> int:
        path = self._make() if self._path is None else self._path
        self._others = sum(_size(file) for file in self._root.glob("*/*.jsonl"))
        number = max((int(file.stem) for file in path.glob("*.jsonl")), default=0) + 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._fd = fd = os.open(path / f"{number:08d}.jsonl", flags, 0o600)
        self._size = 0
        _sync(path)
        return fd

    def _make(self) -> Path:
        """Make the directory under a name that nobody adopts, and rename it once its lock is held."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = uuid4().hex
        draft = self._root / f".{name}"
        draft.mkdir(mode=0o700)
        lock = FileLock(draft / _LOCK)
        lock.try_exclusive()
        self._path = draft.rename(self._root / name)
        self._lock = lock
        _sync(self._root)
        return self._path

    def _seal(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def orphans(root: Path) -> list[Directory]:
    """Return what processes left that are no more, each locked for us."""
    found = []
    for path in sorted(root.glob("[0-9a-f]*")) if root.exists() else ():
        try:
            lock = FileLock(path / _LOCK)
        except OSError:  # another one adopted it to the end just now
            continue
        if lock.try_exclusive():
            found.append(Directory(root, path=path, lock=lock))
        else:
            lock.close()
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # its replay has just ended
        return 0


def lay_aside(root: Path, records: Sequence[Record]) -> None:
    """Keep what can't be taken in `refused.jsonl`, for a person."""
    fd = os.open(root / "refused.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        _write(fd, b"".join(record.as_line() for record in records))
        os.fsync(fd)
    finally:
        os.close(fd)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync(directory: Path) -> None:
    """Have the names in a directory survive a power cut."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
