"""Does everything run over TLS, as a user that may do no more than docs/redis.md gives it?"""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from headway import Client
from headway.errors import ServerError
from runtime.address import parse
from runtime.connect import check_server, connect, wait_for_server
from tests.harness.processes import ROOT, RunningProcess
from tests.harness.servers import ThrowawayServer, find_binary, free_port
from tests.harness.tls import make_certificates, tls_options
from tests.harness.waiting import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

NUMBER = "15555550100"
PASSWORD = "p@ss/w0rd#1"
#: As it stands in a URL.
QUOTED = "p%40ss%2Fw0rd%231"
LINES = dict(re.findall(r"^(user (\w+) on .*)$", (ROOT / "docs/redis.md").read_text(encoding="utf-8"), re.MULTILINE))
USERS = {name: line for line, name in LINES.items()}


@dataclass(frozen=True)
class Guarded:
    """A server that speaks TLS and knows users; `admin` may do everything."""

    server: ThrowawayServer
    admin: Any
    port: int
    ca: Path

    def url(self, user: str, *, password: str = QUOTED, options: str = "") -> str:
        """Return the URL of a user."""
        return f"rediss://{user}:{password}@127.0.0.1:{self.port}/0?{options or f'ssl_ca_certs={self.ca}'}"

    def refused(self) -> list[str]:
        """Return what users were refused since the last look."""
        found = [f"{entry['username']} {entry['reason']} {entry['object']}" for entry in self.admin.acl_log()]
        self.admin.acl_log_reset()
        return found


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Start a server with a certificate of an authority of its own, and the users of docs/redis.md."""
    binary, folder = find_binary(), tmp_path_factory.mktemp("tls")
    if binary is None:
        pytest.skip("no Redis or Valkey server")
    try:
        make_certificates(folder)
    except FileNotFoundError:
        pytest.skip("no openssl on PATH")
    port = free_port()
    server = ThrowawayServer(
        binary,
        directory=folder / "server",
        options={**tls_options(folder), "tls-port": str(port), "acllog-max-len": "100"},
    )
    try:
        server.start()
    except AssertionError as problem:
        pytest.skip(f"{binary.name} was built without TLS: {problem}")
    admin: Any = server.client()
    for line in USERS.values():
        admin.execute_command("ACL", "SETUSER", *line.replace("PASSWORD", PASSWORD).split()[1:])
    yield Guarded(server, admin, port, folder / "ca.pem")
    admin.close()
    server.kill()


def _call(url: str, token: str, body: object = None, *, method: str = "") -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, data=data, headers=headers, method=method or None)  # noqa: S310  loopback
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310  loopback
        return json.loads(answer.read())


def _run(*command: str, env: dict[str, str]) -> str:
    with RunningProcess([*command], env=env) as process:
        assert process.wait(timeout=timedelta(seconds=60)) == 0, process.output
        return process.output


def test_everything_runs_as_a_user_with_no_more_than_it_needs(guarded: Guarded, tmp_path: Path) -> None:
    """Gateway, workers of both pools, the command and Celery's own inspect, over TLS: nothing is refused."""
    token, key = "t" * 24, "k" * 24
    refused: list[str] = []
    with ExitStack() as stack:
        stack.callback(lambda: refused.extend(guarded.refused()))
        sink = stack.enter_context(RunningProcess([sys.executable, "-m", "simulator.sink", "--port", "0"]))
        env = {
            "HEADWAY_REDIS_URL": guarded.url("headway"), "HEADWAY_HOME": str(tmp_path), "HEADWAY_NUMBERS": NUMBER,
            "HEADWAY_PROVIDER_URL": sink.wait_for_line(r"^sink ready on (\S+)$")[1], "HEADWAY_LOG": "json",
            "HEADWAY_API_TOKENS": token, "HEADWAY_WEBHOOK_KEY": key, "HEADWAY_TPS": "100",
            "HEADWAY_PROVIDER_TOKEN": "p" * 24,
        }  # fmt: skip
        gateway = stack.enter_context(RunningProcess([sys.executable, "-m", "gateway.serve", "--port", "0"], env=env))
        for pool in ("threads", "prefork"):
            command = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "-n", f"{pool}@here", "-E"]
            worker = stack.enter_context(RunningProcess([*command, "-P", pool, "-c", "2"], env=env))
            worker.wait_for_line('"event": "worker_ready"', timeout=timedelta(seconds=40))
        url = gateway.wait_for_line(r"^gateway ready on (\S+)$", timeout=timedelta(seconds=40))[1]
        _everything(url, token, key, env)
    assert refused == []


def _everything(url: str, token: str, key: str, env: dict[str, str]) -> None:
    """Use each part that talks to the server."""
    rows = [{"number": f"39333000{at:04d}", "message": "hi"} for at in range(50)]
    answer = _call(f"{url}/api/v2/push", token, {"token": token, "application": NUMBER, "data": rows})
    ids = [row["msg_id"] for row in answer["data"]]

    def sent() -> bool:
        return all(_call(f"{url}/v1/messages/{id_}", token)["state"] == "sent" for id_ in ids)

    wait_until(sent, description="all messages to be sent", timeout=timedelta(seconds=30))
    hook = f"{url}/webhooks/picky/{NUMBER}?key={key}"
    _call(hook, token, {"unique-id": "1", "number": "393331234567", "message-in": "hi"})
    receipt = {"msg_id": 1, "number": rows[0]["number"], "status": 1, "reference_number": ids[0]}
    _call(hook, token, {"project_id": 1, "event_id": 1, "data": [receipt]})
    assert _call(f"{url}/v1/messages/{ids[0]}", token)["state"] == "delivered"
    _call(f"{url}/v1/numbers/{NUMBER}", token, {"tps": 50, "paused": True}, method="PATCH")
    assert _call(f"{url}/readyz", token) == {"status": "ready"}
    headway = str(Path(sys.executable).with_name("headway"))
    for command in (["numbers"], ["explain", NUMBER], ["tps", NUMBER, "60"], ["resume", NUMBER], ["status", ids[0]]):
        _run(headway, *command, env=env)
    _run(headway, "push", "examples/recipients.csv", "--class", "bulk", env=env)
    celery = (sys.executable, "-m", "celery", "-A", "worker.app")
    assert "2 nodes online" in _run(*celery, "inspect", "ping", env=env)
    _run(*celery, "inspect", "stats", env=env)


def test_the_users_may_not_do_harm(guarded: Guarded) -> None:
    """Neither empty the server, nor look at what isn't ours, nor change how it runs."""
    guarded.admin.set("secret:other", "x")
    for user in USERS:
        with connect(guarded.url(user), name="x") as client:
            for command in (["FLUSHALL"], ["KEYS", "*"], ["CONFIG", "GET", "*"], ["SHUTDOWN"],
                            ["ACL", "LIST"], ["GET", "secret:other"], ["SCRIPT", "FLUSH"], ["MONITOR"]):  # fmt: skip
                with pytest.raises(redis_py.exceptions.NoPermissionError):
                    client.execute_command(*command)
            with pytest.raises(redis_py.ResponseError, match=r"ACL failure in script|can.t (access|run)"):
                client.eval("return redis.call('GET', 'secret:other')", 0)
    assert guarded.refused()


def test_an_app_s_own_user_can_push_and_look(guarded: Guarded) -> None:
    """What `headway.Client` does, and no more: not even the number's settings can be read."""
    with connect(guarded.url("app"), name="x") as connection:
        client = Client(connection)
        message_id = client.push(NUMBER, to="393331234567", text="hi")
        status = client.status(message_id)
        assert status is not None
        with pytest.raises(redis_py.exceptions.NoPermissionError):
            connection.hgetall(f"headway:{NUMBER}:settings")
    guarded.admin.delete(f"headway.{NUMBER}")
    guarded.refused()


def test_a_certificate_is_checked(guarded: Guarded) -> None:
    """One that no authority of ours signed ends the connection, unless the URL says not to look."""
    with connect(guarded.url("headway", options="db=0"), name="x") as client, pytest.raises(redis_py.ConnectionError):
        client.ping()
    unchecked = "ssl_cert_reqs=none&ssl_check_hostname=false"
    with connect(guarded.url("headway", options=unchecked), name="x") as client:
        assert client.ping()
    plain = guarded.url("headway", options="db=0").replace("rediss", "redis")
    with connect(plain, name="x") as client, pytest.raises(redis_py.ConnectionError):
        client.ping()


def test_a_wrong_password_is_said_without_it(guarded: Guarded) -> None:
    """At once, and neither the error nor the address for people holds it."""
    url = guarded.url("headway", password="wr0ng")
    with connect(url, name="x") as client, pytest.raises(ServerError) as caught:
        wait_for_server(client, shown=parse(url).shown, patience=timedelta(seconds=5))
    assert "wr0ng" not in f"{caught.value} {parse(url).shown} {parse(url)!r}"
    with connect(guarded.url("headway"), name="x") as client:
        assert check_server(client).risks == ()
    guarded.refused()
