"""Is a worker that no longer gets on told from one that has nothing to do, is busy, or waits for its server?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from runtime.clock import FakeClock
from runtime.health import STALE_MS, HealthFile, Report, reports
from worker.engine import Engine
from worker.progress import DEAF_US, Progress
from worker.registry import HeldLease

NUMBER = "15555550100"
DEAF = timedelta(microseconds=DEAF_US)


class Bench:
    """An engine that serves one number, on a clock that stands still."""

    def __init__(self, home: Path) -> None:
        self.clock = FakeClock()
        nothing = cast("Any", None)
        self.engine = Engine(nothing, nothing, slots=2, clock=self.clock)
        self.engine.agenda.serve(NUMBER)
        self.heard_us = 0
        self.progress = Progress(
            self.engine, HealthFile(home, clock=self.clock), heard_us=lambda: self.heard_us
        )  # fmt: skip

    def look(self, after: timedelta = timedelta(), *, away: bool = False) -> str:
        """Let time go by, and look."""
        self.clock.advance(after)
        return self.progress.turned(away=away)

    def ask(self) -> None:
        """Do what the event loop does when a number is due."""
        self.engine.agenda.due(self.clock.monotonic_us(), most=10)
        self.heard_us = self.clock.monotonic_us()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A worker that has just started."""
    return Bench(tmp_path)


def test_a_number_that_is_due_and_not_asked_means_deaf(bench: Bench) -> None:
    """After half a minute: a reconnect takes less. The first answer makes all well again."""
    assert bench.look() == "working"
    assert bench.look(DEAF / 2) == "working"
    assert bench.look(DEAF / 2) == "deaf"
    bench.ask()
    assert bench.look() == "working"


def test_answers_are_progress_however_much_is_due(bench: Bench) -> None:
    """A busy worker always has something due."""
    for _ in range(5):
        bench.ask()
        bench.engine.agenda.ring([NUMBER])
        assert bench.look(DEAF * 0.9) == "working"


def test_a_worker_with_nothing_to_do_is_well(bench: Bench) -> None:
    """Nothing is due, so nothing is asked."""
    bench.ask()
    assert [bench.look(DEAF) for _ in range(3)] == ["working"] * 3


def test_a_full_pool_is_not_deaf(bench: Bench) -> None:
    """A slow provider holds all slots: nothing more is asked until one is free."""
    bench.engine.registry.hold("tag", [HeldLease(NUMBER, lease_id, ()) for lease_id in "ab"])
    assert [bench.look(DEAF) for _ in range(3)] == ["working"] * 3


def test_without_a_server_it_waits(bench: Bench) -> None:
    """That is no fault of the worker, and the time doesn't count once the server is back."""
    bench.look()
    assert bench.look(DEAF * 2, away=True) == "away"
    assert bench.look() == "working"


def test_a_worker_that_ends_asks_nothing(bench: Bench) -> None:
    """What is due is left to others."""
    bench.engine.stopping = True
    assert bench.look(DEAF * 2) == "stopping"


def test_the_file_says_it_and_goes_with_the_worker(bench: Bench, tmp_path: Path) -> None:
    """It is written every three seconds, at once when it changes, and found by whoever checks."""
    bench.look()
    (report,) = reports(tmp_path)
    assert report == Report(os.getpid(), "working", bench.clock.now_us() // 1000)
    bench.look(timedelta(milliseconds=1500))
    assert reports(tmp_path) == [report]
    bench.look(timedelta(milliseconds=1500))
    assert reports(tmp_path)[0].at_ms == report.at_ms + 3000
    bench.look(timedelta(milliseconds=1), away=True)
    assert reports(tmp_path)[0].state == "away"
    bench.progress.ended()
    assert reports(tmp_path) == []


def test_what_is_wrong_with_a_report() -> None:
    """Silence and deafness; a server that is away is nothing that a restart would mend."""
    assert Report(1, "working", 0).problem(STALE_MS) == ""
    assert "says nothing" in Report(1, "working", 0).problem(STALE_MS + 1)
    assert "doesn't ask" in Report(1, "deaf", 0).problem(0)
    assert Report(1, "away", 0).problem(0) == ""


def test_files_of_the_dead_and_of_other_machines_count_for_nothing(tmp_path: Path) -> None:
    """A worker that was killed leaves its file: it is taken away. Another container's is left alone."""
    HealthFile(tmp_path).write("working")
    (mine,) = (tmp_path / "run").iterdir()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = mine.with_name(mine.name.replace(str(os.getpid()), str(ended.pid)))
    dead.write_text(json.dumps({"pid": ended.pid, "state": "working", "at_ms": 0}))
    other = mine.with_name("worker-elsewhere-1.json")
    other.write_text("{}")
    assert [report.pid for report in reports(tmp_path)] == [os.getpid()]
    assert not dead.exists()
    assert other.exists()


def test_a_disk_that_can_not_be_written_stops_no_worker(tmp_path: Path) -> None:
    """It is said once, and the worker goes on."""
    (tmp_path / "run").write_text("a file where the directory should be")
    bench = Bench(tmp_path)
    assert [bench.look(timedelta(seconds=2)) for _ in range(3)] == ["working"] * 3
