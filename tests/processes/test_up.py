"""Does `headway up` run everything, keep it alive, and leave nothing behind however it ends?"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from console.watch import GivenUp, Part, Watch
from runtime.clock import FakeClock
from tests.harness.processes import RunningProcess
from tests.harness.waiting import wait_until

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="children are read from /proc"),
]

HEADWAY = Path(sys.executable).with_name("headway")
NUMBER = "15555550100"
START = timedelta(seconds=60)


@contextmanager
def up(home: Path, *, provider: str = "http://127.0.0.1:9") -> Iterator[tuple[RunningProcess, str]]:
    """`headway up` that is ready, and its address. Nothing listens at the default provider."""
    env = {"HEADWAY_HOME": str(home), "HEADWAY_PROVIDER_URL": provider, "HEADWAY_TPS": "50"}
    env["HEADWAY_PUSH_PER_MINUTE"] = "1000000"  # no quota
    with RunningProcess([HEADWAY, "up", "--port", "0"], env=env, cwd=home.parent) as running:
        url = running.wait_for_line(r"^Headway is up on (http://\S+)", timeout=START)[1]
        yield running, url


def push(url: str, token: str) -> Any:
    """Push one message over HTTP; return the answer."""
    body = {"token": token, "application": NUMBER, "data": [{"number": "12025550101", "message": "Hello"}]}
    request = urllib.request.Request(f"{url}/api/v2/push", data=json.dumps(body).encode(), method="POST")  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def command_of(pid: int) -> str:
    """The words of a process's command."""
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").replace("\0", " ")


def child(running: RunningProcess, word: str) -> int:
    """The child whose command has this word."""
    (found,) = [pid for pid in running.children() if word in command_of(pid)]
    return found


def alive(home: Path) -> list[str]:
    """The commands of all processes whose environment or command names this home."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            said = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
            lies = str((path / "cwd").readlink())
        except OSError:
            continue
        if (str(home).encode() in said or str(home) in lies) and int(path.name) != os.getpid():
            found.append((path / "cmdline").read_text(encoding="utf-8").replace("\0", " "))
    return found


def test_what_is_pushed_with_the_generated_token_reaches_the_provider(tmp_path: Path) -> None:
    """One command, then the token from its file opens the door; SIGTERM ends all of it in order with status 0."""
    home = tmp_path / "home"
    with RunningProcess([sys.executable, "-m", "simulator.sink", "--port", "0"]) as sink:
        provider = sink.wait_for_line(r"^sink ready on (\S+)$")[1]
        with up(home, provider=provider) as (running, url):
            token = home / "api-token"
            assert stat.S_IMODE(token.stat().st_mode) == 0o600
            answer = push(url, token.read_text())
            assert answer["status"] == 100
            request = urllib.request.Request(  # noqa: S310
                f"{url}/v1/messages/{answer['data'][0]['msg_id']}",
                headers={"Authorization": f"Bearer {token.read_text()}"},
            )

            def sent() -> bool:
                with urllib.request.urlopen(request, timeout=10) as record:  # noqa: S310
                    return bool(json.load(record)["state"] == "sent")

            wait_until(sent, description="the message to be sent", detail=running.tail)
            assert token.read_text() not in running.output
            assert running.terminate() == 0
            order = [
                running.output.index(said) for said in ("gateway_stopping", "worker_stopping", "headway | stopped")
            ]
            assert order == sorted(order)
    assert alive(home) == []


def test_who_dies_is_started_again(tmp_path: Path) -> None:
    """Killed worker, gateway and server come back, the gateway on the port that it had; each is said loudly."""
    home = tmp_path / "home"
    with up(home) as (running, url):
        for name, word, ready in (
            ("worker", "worker.app", "worker_ready"),
            ("gateway", "gateway.serve", "gateway ready on"),
        ):
            seen = running.line_count()
            os.kill(child(running, word), signal.SIGKILL)
            running.wait_for_line(rf"{name} +\| was ended by signal 9; started again in 0.5 s", after=seen)
            running.wait_for_line(ready, after=seen, timeout=START)
        os.kill(child(running, "-server "), signal.SIGKILL)
        running.wait_for_line(r"server +\| answers again", timeout=START)

        def accepted() -> bool:
            try:
                return bool(push(url, (home / "api-token").read_text())["status"] == 100)
            except urllib.error.HTTPError:
                return False  # until the gateway has found the server again

        wait_until(accepted, description="a push to be accepted", detail=running.tail)
        assert running.terminate() == 0
    assert alive(home) == []


def test_a_killed_up_takes_everything_with_it(tmp_path: Path) -> None:
    """SIGKILL can't be heard, but gateway and worker end all the same, and the server with its last user."""
    home = tmp_path / "home"
    with up(home) as (running, _):
        assert len(alive(home)) == 4
        running.kill()
        wait_until(lambda: not alive(home), description="the end of all", detail=lambda: "\n".join(alive(home)))


def test_a_port_that_is_taken_is_said_at_once(tmp_path: Path) -> None:
    """What ends before it was ever ready isn't tried again: its own words are the last thing said, with status 1."""
    home = tmp_path / "home"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with RunningProcess([HEADWAY, "up", "--port", str(port)], env={"HEADWAY_HOME": str(home)}) as running:
            assert running.wait(timeout=START) == 1
            assert re.search(r"the gateway ended with status \d before it was ready", running.output)
            assert f"port {port} of 127.0.0.1 is taken" in running.output
            assert "Headway is up" not in running.output
    assert alive(home) == []


# ------------------------------------------------------------------------------------------------------------ the watch


def part(program: str, *, patience: timedelta = START) -> Part:
    """A Python program that is ready once it says so."""
    return Part(
        name="child",
        command=lambda _: [sys.executable, "-u", "-S", "-c", program],
        environ={},
        ready=re.compile("^ready$"),
        patience=patience,
    )


def nothing(_: str, __: str) -> None:
    """Say nothing."""


def test_five_deaths_within_a_minute_are_no_accident() -> None:
    """It is started four times again, with longer pauses each time; then its last words are the reason."""
    warned: list[str] = []
    clock = FakeClock()
    watch = Watch(
        [part("print('ready'); print('I have no more strength'); raise SystemExit(3)")],
        say=nothing,
        warn=lambda _, text: warned.append(text),
        clock=clock,
    )
    watch.start()

    def go_on() -> None:
        while True:
            watch.look()
            clock.advance(timedelta(seconds=0.25))

    with pytest.raises(GivenUp, match=r"5 times within a minute; it said:\nready\nI have no more strength"):
        go_on()
    assert warned == [f"ended with status 3; started again in {pause} s" for pause in ("0.5", "1", "2", "4")]


@pytest.mark.parametrize(("patience_s", "at_once"), [(0.1, False), (60, True)])
def test_who_does_not_end_is_killed(patience_s: float, at_once: bool) -> None:
    """A child that doesn't hear SIGTERM is killed when its time is up, or when nobody waits any more."""
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); time.sleep(60)"
    said: list[str] = []
    watch = Watch(
        [part(program, patience=timedelta(seconds=patience_s))], say=lambda _, text: said.append(text), warn=nothing
    )
    watch.start()
    wait_until(lambda: watch.ready, description="its being ready")
    watch.end(at_once=lambda: at_once)
    assert watch.children[0].status == -signal.SIGKILL
    assert said == ["ready", "is killed" if at_once else "does not end: killed"]
