"""How are hundreds of workers started in minutes? Forked from a process that has imported what they all import.

Importing Celery and our rooms takes two seconds of a core, and a worker that is killed twice a minute would do little
else. What is forked then runs as `python -m celery …` does, with a session and an environment of its own. The nursery
has no thread, connection or setting that a worker could inherit; when its standard input ends it kills all it started.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench._ground import ROOT

#: What workers and gateways import; `worker.app` reads the environment and is left to each of them.
SHARED = (
    "celery.bin.celery",
    "celery.bin.worker",
    "celery.apps.worker",
    "celery.concurrency.prefork",
    "celery.concurrency.thread",
    "celery.worker.consumer",
    "kombu.transport.redis",
    "aiohttp",
    "worker.lifecycle",
    "worker.tasks",
    "worker.transport",
    "gateway.app",
    "uvicorn.protocols.http.httptools_impl",
)


class Nursery:
    """The nursery, from outside."""

    def __init__(self) -> None:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("HEADWAY_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench._chaos_nursery"],
            cwd=ROOT,
            env={**ours, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def start(self, command: Sequence[str], environ: Mapping[str, str], log: Path) -> int:
        """Start `python -m command…`, which leads a process group of its own; return its id.

        Both streams are appended to `log`. Exits when the nursery has ended.
        """
        if self._process.stdin is None or self._process.stdout is None:
            sys.exit("bench: the nursery has no pipes")
        order = {"command": list(command), "environ": dict(environ), "log": str(log)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            sys.exit("bench: the nursery of workers ended by itself")
        return int(line)

    def close(self) -> None:
        """End it, and all that it started."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=20)


def main() -> None:
    for name in SHARED:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended: the system forgets them at once
    started: list[int] = []
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            _become(order)
        started.append(pid)
        print(pid, flush=True)
    for pid in started:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _become(order: Mapping[str, object]) -> None:
    """Be that process, to its end."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(str(order["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for wanted, had in ((0, nothing), (1, log), (2, log)):
        os.dup2(had, wanted)
    os.closerange(3, 256)
    os.environ.update({str(name): str(value) for name, value in dict(order["environ"]).items()})  # type: ignore[call-overload]
    sys.argv = [str(word) for word in order["command"]]  # type: ignore[attr-defined]
    status = 1
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
