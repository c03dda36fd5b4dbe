"""Which processes does the run need, and how do they end? A sink, the embedded server, and a real Celery worker.

Each has a session of its own, so that Ctrl-C reaches the run alone, which then ends them by their ids.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from console.processes import ROOT, simulator_command, worker_command
from runtime.connect import connect
from runtime.embedded import EmbeddedServer
from runtime.variables import DEMO_NUMBER

#: How long a child may take to end when it is asked to, before it is killed.
END_S = 15.0


class Broken(Exception):
    """A process of the run ended too early; the text shows its last words."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A row at the sink. `at_us`: microseconds since 1970."""

    at_us: int
    id: str
    to: str
    text: str


class Stage:
    """The processes of one run, with their data and logs in `home`."""

    def __init__(self, home: Path, *, tps: str) -> None:
        self.home = home
        self.rows: list[dict[str, Any]] = []
        self._tps = tps
        self._journal = home / "journal.jsonl"
        self._read_to = 0
        self._children: list[tuple[str, subprocess.Popen[str]]] = []
        self._server: EmbeddedServer | None = None
        self._sink_url = ""

    def open(self) -> redis.Redis:
        """Start sink and server side by side, and return a client once both answer."""
        sink = self._start(
            "sink", simulator_command("--port", "0", "--journal", str(self._journal)), {"PYTHONPATH": str(ROOT)}
        )
        self._server = EmbeddedServer.join(self.home)
        ready = sink.stdout.readline() if sink.stdout else ""
        if not ready.startswith("sink ready on "):
            raise Broken(self._last_words("sink"))
        self._sink_url = ready.split()[-1]
        return connect(self._server.url, name="headway-run")

    def start_worker(self) -> None:
        """Start `celery -A worker.app worker` for the demo number, sending to the sink."""
        self._start(
            "worker",
            worker_command([]),
            {
                "HEADWAY_NUMBERS": DEMO_NUMBER,
                "HEADWAY_TPS": self._tps,
                # The first request opens its connection after begin, and the machine has other things to do.
                "HEADWAY_GUARD": "0.05",
                "HEADWAY_PROVIDER_URL": self._sink_url,
                "HEADWAY_PROVIDER_TOKEN": "demo",
            },
        )

    def arrivals(self) -> list[Arrival]:
        """Return the rows that arrived since the last call. Raises Broken when a process has ended."""
        for name, child in self._children:
            if child.poll() is not None:
                raise Broken(self._last_words(name))
        with self._journal.open("rb") as file:
            file.seek(self._read_to)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read_to += len(whole) + len(newline)
        rows = [json.loads(line) for line in whole.splitlines()]
        self.rows += rows
        return [Arrival(row["at_us"], row["reference_number"], row["number"], row["message"]) for row in rows]

    def close(self) -> None:
        """End everything, the worker first, so that what it began is settled while the others are there."""
        for name, child in reversed(self._children):
            child.terminate()
            try:
                child.wait(END_S)
            except subprocess.TimeoutExpired:
                print(f"the {name} (pid {child.pid}) does not end: killed", file=sys.stderr)
                child.kill()
                child.wait()
            if child.stdout:
                child.stdout.close()
        self._children.clear()
        if self._server is not None:
            self._server.leave()
            self._server = None

    def _start(self, name: str, command: list[str], settings: Mapping[str, str]) -> subprocess.Popen[str]:
        # What a person has set for their own numbers must not reach this run.
        own = {key: value for key, value in os.environ.items() if not key.startswith("HEADWAY_")}
        with (self.home / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                cwd=self.home,
                env={**own, "HEADWAY_HOME": str(self.home), **settings},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if name == "sink" else log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._children.append((name, child))
        return child

    def _last_words(self, name: str) -> str:
        log = (self.home / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return f"the {name} ended too early; it said:\n" + "\n".join(log.splitlines()[-15:])


def now_us() -> int:
    """Return this machine's time, the one that the sink stamps arrivals with, in microseconds since 1970."""
    return time.time_ns() // 1000
