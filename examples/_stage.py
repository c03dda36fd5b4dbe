"""Which processes does the run need, and how do they end?

The embedded server, the gateway, a real Celery worker, and a WhatsApp number in software at the other end of the wire.
Each has a session of its own, so that Ctrl-C reaches the run alone, which then ends them; and each ends with the run,
even when that one is killed.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Final

from console.processes import gateway_command, rooms_environment, simulator_command, worker_command
from console.watch import Child, Part
from runtime.clock import Deadline, SystemClock
from runtime.embedded import EmbeddedServer
from runtime.variables import DEMO_NUMBER
from simulator.conditions import Conditions

#: How long a process may take to be ready: a cold machine compiles what it imports.
_START: Final = timedelta(seconds=60)
#: How long one may take to end when it is asked to, before it is killed.
_END: Final = timedelta(seconds=15)

_GATEWAY_READY: Final = re.compile(r"^gateway ready on (http://\S+)$")
_SIMULATOR_READY: Final = re.compile(r"^simulator ready on (http://\S+)$")
_WORKER_READY: Final = re.compile(r"worker_ready")


class Broken(Exception):
    """A part of the run doesn't do what it must; the text shows its last words."""


class Stage:
    """The processes of one run, with their data and logs in `home`."""

    def __init__(self, home: Path, *, conditions: Conditions) -> None:
        self.home = home
        self.journal = home / "journal.jsonl"
        self.token = secrets.token_urlsafe()
        self.gateway_url = self.simulator_url = ""
        self._conditions = conditions
        self._webhook_key = secrets.token_urlsafe()
        self._children: list[Child] = []
        self._server: EmbeddedServer | None = None

    def open(self) -> None:
        """Start everything, side by side as far as it goes, and wait until all are ready. Raises Broken."""
        # Each must know the other's address before either is up, so the ports are chosen here.
        ports = _free_ports(2)
        self.gateway_url, self.simulator_url = (f"http://127.0.0.1:{port}" for port in ports)
        self._start("gateway", gateway_command("--port", str(ports[0])), _GATEWAY_READY)
        self._start("worker", worker_command([], quiet=True), _WORKER_READY)
        self._server = EmbeddedServer.join(self.home)
        self._ready(self._children[0])
        # Not before the gateway takes webhooks: people write from the first moment on.
        self._start("simulator", self._simulator(ports[1]), _SIMULATOR_READY)
        for child in self._children:
            self._ready(child)

    def look(self) -> None:
        """Raises Broken when a process has ended."""
        for child in self._children:
            if child.status is not None:
                raise Broken(_last_words(child))

    def close(self) -> None:
        """End everything: the worker first, so that what it began is settled while the others are there."""
        clock = SystemClock()
        for child in sorted(self._children, key=lambda child: child.part.name != "worker"):
            child.end(at_once=lambda: False, clock=clock)
        self._children.clear()
        if self._server is not None:
            self._server.leave()
            self._server = None

    def _settings(self) -> dict[str, str]:
        return {
            "HEADWAY_NUMBERS": DEMO_NUMBER,
            "HEADWAY_TPS": f"{self._conditions.tps:g}",
            # As the number in software: what is shown here is the TPS, not how many requests a provider takes.
            "HEADWAY_PUSH_PER_MINUTE": "1000000",
            "HEADWAY_API_TOKENS": self.token,
            "HEADWAY_WEBHOOK_KEY": self._webhook_key,
            "HEADWAY_PROVIDER_URL": self.simulator_url,
            "HEADWAY_PROVIDER_TOKEN": "demo",
        }

    def _simulator(self, port: int) -> list[str]:
        """Return the command of the number: the conditions, and where it tells what comes in."""
        conditions = self._conditions
        return simulator_command(
            *("--port", str(port), "--token", "demo", "--quota", "0", "--journal", str(self.journal)),
            *("--tps", f"{conditions.tps:g}", "--seed", str(conditions.seed)),
            *("--inbound", str(conditions.inbound_per_s), "--burst", str(conditions.burst)),
            *("--burst-every", str(conditions.burst_every.total_seconds())),
            *("--webhook", f"{self.gateway_url}/webhooks/picky/{DEMO_NUMBER}", "--key", self._webhook_key),
        )

    def _start(self, name: str, command: list[str], ready: re.Pattern[str]) -> None:
        # What a person has set for their own numbers must not reach this run.
        own = {key: value for key, value in os.environ.items() if not key.startswith("HEADWAY_")}
        settings = {"HEADWAY_HOME": str(self.home), **(self._settings() if name != "simulator" else {})}
        environ = {**rooms_environment(own), "PYTHONUNBUFFERED": "1", **settings}
        part = Part(name=name, command=lambda _: command, environ=environ, ready=ready, patience=_END)
        child = Child(part, say=self._write)
        child.start()
        self._children.append(child)

    def _ready(self, child: Child) -> None:
        """Wait until it says that it is ready. Raises Broken."""
        deadline = Deadline(_START, clock=SystemClock())
        while child.match is None:
            if child.status is not None or deadline.passed:
                child.listen_out()
                raise Broken(_last_words(child))
            time.sleep(0.01)

    def _write(self, name: str, line: str) -> None:
        with (self.home / f"{name}.log").open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")


def _last_words(child: Child) -> str:
    how = "was not ready in time" if child.status is None else f"ended with status {child.status}"
    return f"the {child.part.name} {how}; it said:\n{child.last_words()}"


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def now_us() -> int:
    """Return this machine's time, the one that the simulator stamps arrivals with, in microseconds since 1970."""
    return time.time_ns() // 1000


def say_error(text: str) -> None:
    """Write a sentence on standard error."""
    print(f"headway: {text}", file=sys.stderr)
