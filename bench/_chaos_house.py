"""Where does chaos live? A server, simulated numbers, and workers and gateways that are started again when they die."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench._chaos_kills import Kill, What
from bench._chaos_nursery import Nursery
from tests.harness.processes import RunningProcess
from tests.harness.servers import ThrowawayServer

#: A pool's child lives on for a moment after its worker; one that is there so much later is an orphan.
ORPHAN_S = 10.0

#: Nobody is killed twice before he was ready, but for this long at the most.
START_S = 30.0


@dataclass(slots=True)
class Member:
    """A worker or gateway that is to run always. `ready`: what its log says when it is."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    log: Path
    ready: str
    pooled: bool = False
    pid: int = 0
    born_s: float = 0.0
    log_from: int = 0
    #: It was killed by us, and may be gone.
    doomed: bool = False

    def is_ready(self) -> bool:
        """Has it said so since its last start?"""
        if not alive(self.pid):
            return False
        with self.log.open("rb") as log:
            log.seek(self.log_from)
            return self.ready.encode() in log.read()

    def children(self) -> list[int]:
        """Its direct children."""
        files = Path(f"/proc/{self.pid}/task").glob("*/children")
        with contextlib.suppress(OSError):
            return sorted(int(pid) for file in files for pid in file.read_text(encoding="ascii").split())
        return []


@dataclass(slots=True)
class House:
    """All of it, and what was done to it."""

    folder: Path
    server: ThrowawayServer
    nursery: Nursery
    members: list[Member] = field(default_factory=list)
    #: Microseconds since 1970 of each kill and each end of the server.
    struck_us: list[int] = field(default_factory=list)
    struck: dict[str, int] = field(default_factory=dict)
    #: Groups whose leader was killed alone, and when.
    headless: list[tuple[int, float]] = field(default_factory=list)
    orphans: int = 0
    #: Who ended though nobody killed him.
    fell: list[str] = field(default_factory=list)

    def add(self, name: str, command: Sequence[str], environ: Mapping[str, str], *, ready: str, pooled: bool) -> None:
        """Have one more member; `tend` starts it."""
        log = self.folder / f"{name}.log"
        log.touch()
        self.members.append(Member(name, command, environ, log, ready, pooled))

    def tend(self) -> None:
        """Start whoever isn't there, and end orphans."""
        for member in self.members:
            if not alive(member.pid):
                if member.pid and not member.doomed:
                    self.fell.append(member.name)
                member.log_from = member.log.stat().st_size
                member.pid = self.nursery.start(member.command, member.environ, member.log)
                member.born_s = time.monotonic()
                member.doomed = False
        for group, since_s in list(self.headless):
            if not group_lives(group):
                self.headless.remove((group, since_s))
            elif time.monotonic() - since_s > ORPHAN_S:
                self.headless.remove((group, since_s))
                self.orphans += 1
                kill_group(group)

    def wait_until_ready(self) -> None:
        """Wait until each member is; exits when one isn't in time."""
        deadline_s = time.monotonic() + 60
        while waiting := [member for member in self.members if not member.is_ready()]:
            if time.monotonic() > deadline_s:
                tail = waiting[0].log.read_text(errors="replace")[-3000:]
                sys.exit(f"bench: {waiting[0].name} wasn't ready after 60 s:\n{tail}")
            self.tend()
            time.sleep(0.05)

    def strike(self, kill: Kill) -> bool:
        """Kill whom the plan says; False: there is nobody to kill in this way now."""
        if kill.what in {"stop", "crash"}:
            self._end_server(kill)
        elif not self._kill(kill):
            return False
        self.struck[kill.what] = self.struck.get(kill.what, 0) + 1
        return True

    def _end_server(self, kill: Kill) -> None:
        self.struck_us.append(time.time_ns() // 1000)
        (self.server.stop if kill.what == "stop" else self.server.kill)()
        time.sleep(kill.pick)
        self.server.start()
        self.struck_us.append(time.time_ns() // 1000)

    def _kill(self, kill: Kill) -> bool:
        there = [member for member in self.members if _may_die(member, kill.what)]
        if not there:
            return False
        place = kill.pick * len(there)
        member = there[int(place)]
        at_us = time.time_ns() // 1000
        if kill.what == "child":
            children = member.children()
            if not children:
                return False
            os.kill(children[int((place % 1) * len(children))], signal.SIGKILL)
        elif kill.what == "main":
            member.doomed = True
            os.kill(member.pid, signal.SIGKILL)
            self.headless.append((member.pid, time.monotonic()))
        else:
            member.doomed = True
            kill_group(member.pid)
        self.struck_us.append(at_us)
        return True

    def close(self) -> None:
        """End the members as an operator does, then what is left of them."""
        for member in self.members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGTERM)
        deadline_s = time.monotonic() + 15
        while any(alive(member.pid) for member in self.members) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        self.nursery.close()


def _may_die(member: Member, what: What) -> bool:
    if (what == "gateway") != member.name.startswith("gateway"):
        return False
    if what in {"child", "main"} and not member.pooled:
        return False
    return member.is_ready() or (alive(member.pid) and time.monotonic() - member.born_s > START_S)


def alive(pid: int) -> bool:
    """Does a process of the nursery live? Those that ended are forgotten at once."""
    if not pid:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def group_lives(group: int) -> bool:
    """Is anybody left in a process group?"""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def kill_group(group: int) -> None:
    """End a process group at one blow."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


@contextmanager
def simulator(*options: str, latency_ms: int) -> Iterator[str]:
    """A simulated number without limits of its own; gives its address."""
    command = [sys.executable, "-m", "simulator", "--port", "0", "--tps", "100000", "--quota", "0"]
    with RunningProcess([*command, "--latency-ms", str(latency_ms), *options]) as running:
        yield running.wait_for_line(r"simulator ready on (\S+)")[1]


def arrivals(address: str) -> list[tuple[str, int]]:
    """Return reference and microsecond of each row that arrived at a simulated number."""
    with urllib.request.urlopen(f"{address}/journal", timeout=60) as answer:  # noqa: S310  loopback
        events: list[dict[str, Any]] = json.loads(answer.read())
    return [(event["reference_number"], event["at_us"]) for event in events if event["kind"] == "send"]
