"""How long is a server that is away waited for, and who can cut the wait short?"""

from __future__ import annotations

import os
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import redis
from kombu.exceptions import OperationalError

from headway.errors import BrokerUnavailable
from runtime import repeat
from runtime.scripts import Call, Script
from tests.harness.servers import free_port
from worker.broker import RETRY_MOST_S, SOCKET_TIMEOUT_S, PatientConnection, broker_of
from worker.hurry import Hurry

NOTHING = Call(Script("nothing", "return 1", "0" * 40), [], [])


def nowhere() -> redis.Redis:
    """A client of a server that isn't there."""
    return redis.Redis(port=free_port(), socket_connect_timeout=1)


def test_a_wait_ends_when_somebody_is_in_a_hurry() -> None:
    """Ten minutes of patience are no reason to hold up an end; the first try is always made."""
    tries = count(1)
    with pytest.raises(BrokerUnavailable):
        repeat.until_answered(
            nowhere(), [NOTHING], patience=timedelta(minutes=10), hurry=lambda: next(tries) >= 3
        )  # fmt: skip
    assert next(tries) == 4


def test_a_forked_child_hears_that_the_time_is_up() -> None:
    """What the parent writes after the fork, the child sees."""
    hurry = Hurry()
    assert not hurry()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)  # until the parent has said it
        os._exit(7 if hurry() else 1)
    os.close(reading)
    hurry.set()
    os.close(writing)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert hurry()


def test_celerys_connection_asks_at_least_every_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of kombu's own grow to half a minute; what Celery passes on is kept."""
    slept: list[float] = []
    monkeypatch.setattr("kombu.utils.functional.sleep", slept.append)
    pauses: list[float] = []
    url = f"redis://127.0.0.1:{free_port()}/0"
    with PatientConnection(url) as connection, pytest.raises(OperationalError):  # type: ignore[no-untyped-call]
        connection.ensure_connection(lambda _, pause: pauses.append(pause), 20)
    assert len(pauses) == 20
    assert pauses == sorted(pauses)
    assert pauses[-1] == RETRY_MOST_S


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1/0", "rediss://h/0", "sentinel://a;sentinel://b/1?master_name=m", "sentinel+tls://a?master_name=m"]
)  # fmt: skip
def test_no_wait_for_a_server_is_without_end(url: str) -> None:
    """Neither for the server nor for a Sentinel; a peer whose machine is gone is found out."""
    options: dict[str, Any] = broker_of(url)[1]
    for waits in (options, options.get("sentinel_kwargs", options)):
        assert waits["socket_timeout"] == SOCKET_TIMEOUT_S
        assert waits["socket_connect_timeout"] == SOCKET_TIMEOUT_S
    assert options["socket_keepalive"]
    assert options["socket_keepalive_options"]
