"""Does the command do its work as a process: on the embedded server, as a worker, and as the run that newcomers see?"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from tests.harness.house import ROOT
from tests.harness.processes import RunningProcess
from tests.harness.servers import ThrowawayServer
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.processes

HEADWAY = Path(sys.executable).with_name("headway")
NUMBER = "15555550100"
#: Nothing listens there: what a test should send to nobody goes nowhere.
NOWHERE = {"HEADWAY_PROVIDER_URL": "http://127.0.0.1:9"}


def headway(*arguments: str, env: Mapping[str, str]) -> Any:
    """Run a command to its end and return what it printed as JSON."""
    result = subprocess.run(
        [HEADWAY, *arguments, "--json"],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == "" or "Traceback" not in result.stderr
    return json.loads(result.stdout)


def gone(pid: int) -> bool:
    """Whether a process has ended, or only waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_messages_outlive_the_embedded_server(tmp_path: Path) -> None:
    """One command starts the server and stops it; the next finds what was pushed, and its record."""
    env = {"HEADWAY_HOME": str(tmp_path / "home")}
    pushed = headway("push", str(ROOT / "examples/recipients.csv"), env=env)
    (number,) = headway("numbers", env=env)
    assert number["waiting"] == {"urgent": 9, "high": 8, "normal": 18, "bulk": 29}
    assert headway("status", pushed["ids"][0], env=env)["state"] == "waiting"


def test_a_worker_starts_from_any_directory(tmp_path: Path, server: ThrowawayServer, redis: redis_py.Redis) -> None:
    """Neither the current directory nor a folder named `worker` in it matters; SIGTERM ends it with status 0.

    What it leaves is its home, where it said that it gets on.
    """
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker" / "__init__.py").write_text("raise SystemExit('not this one')\n")
    env = {"HEADWAY_REDIS_URL": server.url, **NOWHERE}
    with RunningProcess([HEADWAY, "worker", "--number", NUMBER], env=env, cwd=tmp_path) as worker:
        worker.wait_for_line("worker_ready")
        assert worker.terminate() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [".headway", "worker"]


def test_the_run_shows_and_judges_the_whole_picture(tmp_path: Path) -> None:
    """`make run` without a terminal: a plain line a second, both verdicts, status 0, and nothing left behind."""
    env = {"TMPDIR": str(tmp_path), "HEADWAY_TPS": "a person's own setting"}
    with RunningProcess(
        [sys.executable, ROOT / "examples" / "run.py", "--seconds", "10"], env=env, cwd=tmp_path
    ) as run:
        status = run.wait(timeout=timedelta(seconds=90))
        assert status == 0, run.output
        assert run.output.count(" of 20 TPS: send") >= 5
        assert re.search(r"^messages sent twice +0 +0 *$", run.output, re.MULTILINE)
        assert re.search(r"^accepted messages lost +0 *$", run.output, re.MULTILINE)
        assert re.search(r"^urgent messages there +[1-9][0-9]* of [1-9]", run.output, re.MULTILINE)
        assert "nothing lost, nothing doubled" in run.output
        assert "\x1b" not in run.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="children are read from /proc")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_ends_what_it_started(tmp_path: Path, end: signal.Signals) -> None:
    """In the middle of it: worker, gateway, number and server end. Only a killed run leaves its folder behind."""
    with RunningProcess([sys.executable, ROOT / "examples" / "run.py"], env={"TMPDIR": str(tmp_path)}) as run:
        run.wait_for_line("of 20 TPS: send", timeout=timedelta(seconds=60))
        children = run.children()
        assert len(children) == 4
        run.signal(end)
        assert run.wait() == (130 if end is signal.SIGTERM else -signal.SIGKILL)
        wait_until(lambda: all(map(gone, children)), description="the end of worker, gateway, number and server")
    assert len(list(tmp_path.iterdir())) == (0 if end is signal.SIGTERM else 1)
