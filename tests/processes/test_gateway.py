"""Does the gateway, as a process, start, take pushes, ride out a server that is away, and end cleanly?"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headway import MessageClass, keys
from tests.harness.gateway import NUMBER, TO, TOKEN, push_of
from tests.harness.home import throwaway_home
from tests.harness.leaks import leaks
from tests.harness.processes import RunningProcess
from tests.harness.servers import ThrowawayServer
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.processes

READY = r"^gateway ready on (http://127\.0\.0\.1:[0-9]+)$"
GATEWAY = [sys.executable, "-m", "gateway.serve", "--port", "0"]


def settings(server: ThrowawayServer, **texts: str) -> dict[str, str]:
    """Return the environment of a gateway on this server."""
    environ = {"REDIS_URL": server.url, "API_TOKENS": TOKEN, "NUMBERS": NUMBER, "LOG": "json", **texts}
    environ.setdefault("HOME", throwaway_home())
    return {f"HEADWAY_{name}": text for name, text in environ.items()}


@pytest.fixture
def gateway(own_server: ThrowawayServer) -> Iterator[RunningProcess]:
    """A gateway that is ready."""
    with RunningProcess(GATEWAY, env=settings(own_server)) as process:
        process.wait_for_line(READY)
        yield process


def call(process: RunningProcess, path: str, body: object = None) -> tuple[int, Any]:
    """GET, or POST JSON; return status and JSON answer."""
    url = process.wait_for_line(READY)[1] + path
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(url, data=data, timeout=20) as answer:  # noqa: S310  loopback
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_push_is_on_its_lane_when_it_is_answered(gateway: RunningProcess, own_server: ThrowawayServer) -> None:
    """From a socket to the lane, with a record, and with no key that isn't declared."""
    status, answer = call(gateway, "/api/v2/push", push_of("one", "two"))
    assert (status, answer["status"], len(answer["data"])) == (200, 100, 2)
    client = own_server.client()
    assert client.llen(keys.lane(NUMBER, MessageClass.NORMAL)) == 2
    assert client.hget(keys.record(answer["data"][0]["msg_id"]), "state") == b"waiting"
    assert not leaks(client)
    client.close()


def test_a_server_that_goes_and_comes_back(gateway: RunningProcess, own_server: ThrowawayServer) -> None:
    """503 while it is away, no restart needed when it is back, and what was accepted is still there."""
    assert call(gateway, "/api/v2/push", push_of("before"))[0] == 200
    own_server.stop()
    status, answer = call(gateway, "/api/v2/push", push_of("away"))
    assert (status, answer["status"]) == (503, 101)
    assert call(gateway, "/readyz")[0] == 503
    assert call(gateway, "/healthz")[0] == 200
    own_server.start()
    wait_until(lambda: call(gateway, "/readyz")[0] == 200, description="a gateway that is ready again")
    assert call(gateway, "/api/v2/push", push_of("after"))[0] == 200
    client = own_server.client()
    lane = client.lrange(keys.lane(NUMBER, MessageClass.NORMAL), 0, -1)
    assert [json.loads(json.loads(envelope)["body"])[1]["text"] for envelope in lane] == ["after", "before"]
    client.close()
    gateway.wait_for_line('"event": "broker_back"')


def test_a_server_that_hangs_is_found_out_soon(gateway: RunningProcess, own_server: ThrowawayServer) -> None:
    """The first push that meets it hears 503 within two seconds; those behind it at once."""
    assert call(gateway, "/api/v2/push", push_of("before"))[0] == 200
    assert own_server.pid is not None
    os.kill(own_server.pid, signal.SIGSTOP)
    try:
        took_s = []
        for _ in range(2):
            began = time.monotonic()
            status, answer = call(gateway, "/api/v2/push", push_of("away"))
            took_s.append(time.monotonic() - began)
            assert (status, answer["status"]) == (503, 101)
    finally:
        os.kill(own_server.pid, signal.SIGCONT)
    assert took_s[0] < 2.5, took_s  # 1.8 s, and what a busy machine adds
    assert took_s[1] < 0.5, took_s
    wait_until(lambda: call(gateway, "/api/v2/push", push_of("after"))[0] == 200, description="a push that is taken")


def test_a_server_that_forgot_its_scripts_is_told_them_again(
    gateway: RunningProcess, own_server: ThrowawayServer
) -> None:
    """SCRIPT FLUSH, or a restart between two pushes on an idle connection: the next push goes through."""
    assert call(gateway, "/api/v2/push", push_of("one"))[0] == 200
    client = own_server.client()
    client.script_flush()
    assert call(gateway, "/api/v2/push", push_of("two"))[0] == 200
    own_server.restart()
    assert call(gateway, "/api/v2/push", push_of("three"))[0] == 200
    assert client.llen(keys.lane(NUMBER, MessageClass.NORMAL)) == 3
    client.close()


def test_two_gateways_give_no_id_twice(gateway: RunningProcess, own_server: ThrowawayServer) -> None:
    """Each takes its own blocks."""
    with RunningProcess(GATEWAY, env=settings(own_server)) as other:
        ids = [
            row["msg_id"]
            for _ in range(3)
            for process in (gateway, other)
            for row in call(process, "/api/v2/push", push_of("a", "b"))[1]["data"]
        ]
    assert len(set(ids)) == 12


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_without_losing_a_request(own_server: ThrowawayServer, number: signal.Signals) -> None:
    """A push under way is answered, status 0, nothing on the terminal but our own lines."""
    rows = [{"number": TO, "message": "x"}] * 10_000
    with RunningProcess(GATEWAY, env=settings(own_server)) as process:
        process.wait_for_line(READY)
        answers: list[int] = []
        pushing = threading.Thread(target=lambda: answers.append(call(process, "/api/v2/push", push_of(*rows))[0]))
        client = own_server.client()
        pushing.start()
        wait_until(lambda: client.exists(keys.serial()), description="a push that has its ids")
        process.signal(number)
        assert process.wait() == 0
        pushing.join()
        assert answers == [200]
        assert client.llen(keys.lane(NUMBER, MessageClass.BULK)) == 10_000
        client.close()
        assert "Traceback" not in process.output
        process.wait_for_line('"event": "gateway_stopping"')


def test_without_tokens_it_does_not_start(own_server: ThrowawayServer) -> None:
    """One sentence that names the variable, and no port that lets everybody in."""
    with RunningProcess(GATEWAY, env=settings(own_server, API_TOKENS="")) as process:
        assert process.wait() == 2
        assert process.output.startswith("headway gateway: HEADWAY_API_TOKENS: is not set")
        assert len(process.output.splitlines()) == 1


def test_a_taken_port_is_one_sentence(gateway: RunningProcess, own_server: ThrowawayServer) -> None:
    """And no second server was started for it."""
    port = gateway.wait_for_line(READY)[1].rpartition(":")[2]
    with RunningProcess([*GATEWAY[:-1], port], env=settings(own_server)) as second:
        assert second.wait() == 2
        assert f"port {port} of 127.0.0.1 is taken" in second.output
        assert "Traceback" not in second.output


def test_a_server_that_would_lose_messages_is_refused(own_server: ThrowawayServer) -> None:
    """As the worker refuses it."""
    client = own_server.client()
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.close()
    with RunningProcess(GATEWAY, env=settings(own_server)) as process:
        assert process.wait() == 2
        assert "noeviction" in process.output


def test_the_command_runs_it_on_the_embedded_server(tmp_path: Path) -> None:
    """`headway gateway` needs nothing but tokens: it starts the embedded server and takes a push."""
    command = [str(Path(sys.executable).with_name("headway")), "gateway", "--port", "0"]
    environ = {"HEADWAY_HOME": str(tmp_path), "HEADWAY_API_TOKENS": TOKEN, "HEADWAY_NUMBERS": NUMBER}
    with RunningProcess(command, env=environ, cwd=tmp_path) as process:
        assert call(process, "/api/v2/push", push_of("hi"))[0] == 200
        assert process.terminate() == 0
