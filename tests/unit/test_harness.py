"""Do the helpers of the tests do what the tests rely on?"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pytest
import redis as redis_py

from headway.key_catalogue import KeySpec
from tests.harness.leaks import leaks
from tests.harness.processes import RunningProcess
from tests.harness.servers import ThrowawayServer
from tests.harness.waiting import wait_until

SPECS = (
    KeySpec("kept:[0-9]+", "string", False, "stays"),
    KeySpec("brief:[0-9]+", "string", True, "goes"),
)


def test_wait_until_returns_what_it_waited_for() -> None:
    """The first true answer is the result."""
    answers = iter([0, 0, 7])
    assert wait_until(lambda: next(answers), description="a seven", every=timedelta()) == 7


def test_wait_until_says_what_never_came() -> None:
    """A wait that fails names what it waited for, the last answer and the detail."""
    with pytest.raises(AssertionError, match=r"(?s)waited 0 s for this: a seven; the last answer was 0.*why not"):
        wait_until(lambda: 0, description="a seven", timeout=timedelta(), detail=lambda: "why not")


@pytest.mark.processes
def test_a_process_is_heard_and_ended() -> None:
    """Its lines are read as they come, and SIGTERM ends it."""
    code = "import time; print('ready on 42'); time.sleep(60)"
    with RunningProcess([sys.executable, "-c", code]) as process:
        assert process.wait_for_line(r"ready on (\d+)").group(1) == "42"
        assert process.terminate() == -15


@pytest.mark.processes
def test_a_process_that_ends_without_the_line_fails_the_wait_at_once() -> None:
    """Nobody waits for a line that a dead process can't say; its output is shown instead."""
    with (
        RunningProcess([sys.executable, "-c", "print('oops')"]) as process,
        pytest.raises(AssertionError, match=r"(?s)ended without a line.*status 0.*oops"),
    ):
        process.wait_for_line("ready")


@pytest.mark.processes
def test_children_are_found() -> None:
    """The direct children of a process are known by their ids, so that a test can kill one."""
    code = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print('child', p.pid, flush=True); p.wait()"
    with RunningProcess([sys.executable, "-c", code]) as process:
        child = int(process.wait_for_line(r"child (\d+)").group(1))
        assert process.children() == [child]


@pytest.mark.processes
def test_a_server_keeps_its_data_and_port_over_a_restart(own_server: ThrowawayServer) -> None:
    """After a stop and a start the same address answers with the same data."""
    before = own_server.url
    own_server.client().set("a", "1")
    own_server.restart()
    assert own_server.url == before
    assert own_server.client().get("a") == b"1"


@pytest.mark.processes
def test_a_server_that_cannot_start_shows_its_log(own_server: ThrowawayServer, tmp_path: Path) -> None:
    """A start that fails carries the server's own words."""
    broken = ThrowawayServer(own_server.binary, directory=tmp_path, options={"maxmemory-policy": "nonsense"})
    with pytest.raises(AssertionError, match="ended at once"):
        broken.start()


def test_keys_as_declared_are_no_leak(redis: redis_py.Redis) -> None:
    """A key with the declared type and time to live passes, and so do kombu's own."""
    redis.set("kept:1", "x")
    redis.set("brief:1", "x", ex=60)
    redis.sadd("_kombu.binding.celery", "x")
    assert leaks(redis, SPECS) == []
    redis.flushall()


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (("SET", "other", "x"), "in no entry"),
        (("SET", "kept:1:more", "x"), "in no entry"),
        (("SADD", "kept:1", "x"), "a set, declared as string"),
        (("SET", "kept:1", "x", "EX", "60"), "declared to stay"),
        (("SET", "brief:1", "x"), "has no time to live"),
    ],
)
def test_keys_not_as_declared_are_leaks(redis: redis_py.Redis, command: tuple[str, ...], complaint: str) -> None:
    """An unknown key, a wrong type, a time to live too many or too few: each is one complaint."""
    redis.execute_command(*command)  # type: ignore[no-untyped-call]
    found = leaks(redis, SPECS)
    redis.flushall()
    assert len(found) == 1
    assert complaint in found[0]
