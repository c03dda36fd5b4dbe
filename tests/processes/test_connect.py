"""Does a client send each call once, find a server that came back, and refuse one that would lose messages?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis

from headway.errors import BrokerUnavailable, ServerError
from runtime import connect as connect_module
from runtime.address import Address, parse
from runtime.connect import check_server, connect, wait_for_server
from runtime.secret import Secret
from tests.harness.servers import ThrowawayServer, free_port


@pytest.fixture
def client(own_server: ThrowawayServer) -> Iterator[redis.Redis]:
    """Connect to this test's server as a process of ours does."""
    with connect(own_server.url, name="headway test") as client:
        yield client


def test_a_url_says_where_and_as_whom() -> None:
    """What stands in the URL, decoded; the default ports are the servers' own."""
    assert parse("redis://h") == Address(scheme="redis", hosts=(("h", 6379),))
    assert parse("rediss://me:p%40ss@h:1/2?ssl_cert_reqs=CERT_NONE&ssl_check_hostname=false") == Address(
        scheme="rediss",
        hosts=(("h", 1),),
        db=2,
        username="me",
        password=Secret("p@ss"),
        ssl=(("ssl_cert_reqs", "none"), ("ssl_check_hostname", False)),
    )
    assert parse("redis://h?db=3").db == 3
    assert parse("redis://[::1]:7/0").hosts == (("::1", 7),)


def test_a_sentinel_group_is_a_list_with_the_group_s_name() -> None:
    """User, password and database may stand in any one part."""
    address = parse("sentinel://:pw@a:1;sentinel://b/4?master_name=main")
    assert address.hosts == (("a", 1), ("b", 26379))
    assert (address.password, address.db, address.master_name) == (Secret("pw"), 4, "main")
    assert address.shown == "sentinel://a:1,b:26379/4"
    assert "pw" not in repr(address)


def test_each_kind_of_url_gives_a_client_that_keeps_our_promises() -> None:
    """No repeat, bytes, a bounded wait unless blocking; nothing is connected yet."""
    for url in ("redis://h/1", "rediss://h/1?ssl_cert_reqs=none", "sentinel://a;sentinel://b/1?master_name=m"):
        for blocking, timeout in ((False, 5.0), (True, None)):
            arguments = connect(url, name="x", blocking=blocking).connection_pool.connection_kwargs
            assert arguments["retry"].get_retries() == 0
            assert arguments["socket_timeout"] == timeout
            assert (arguments["db"], arguments["decode_responses"], arguments["protocol"]) == (1, False, 2)


@pytest.mark.processes
def test_a_call_that_timed_out_is_not_sent_again(own_server: ThrowawayServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that takes long runs once: a second run could let the same messages leave again."""
    monkeypatch.setattr(connect_module, "_SOCKET_TIMEOUT_S", 0.1)
    slow = """
        redis.call('incr', 'runs')
        local function now() local t = redis.call('time') return t[1] * 1000 + t[2] / 1000 end
        local start = now()
        while now() < start + 300 do end
    """
    with connect(own_server.url, name="x") as client, pytest.raises(redis.TimeoutError):
        client.eval(slow, 0)
    with own_server.client() as patient:
        assert patient.get("runs") == b"1"


@pytest.mark.processes
def test_a_client_is_named_and_finds_a_server_that_came_back(client: redis.Redis, own_server: ThrowawayServer) -> None:
    """A socket that the old server closed costs no failed call."""
    assert client.client_getname() == "headway-test"
    own_server.restart()
    assert client.ping()


@pytest.mark.processes
def test_a_server_as_it_should_be_has_no_risks(client: redis.Redis) -> None:
    """Redis 7 or Valkey, append-only file, no eviction."""
    facts = check_server(client)
    assert facts.engine in {"redis", "valkey"}
    assert facts.risks == ()


@pytest.mark.processes
def test_a_server_that_would_evict_is_refused(client: redis.Redis) -> None:
    """It would throw messages away when memory is short, and say nothing."""
    client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(ServerError, match="maxmemory-policy is allkeys-lru"):
        check_server(client)


@pytest.mark.processes
def test_a_server_without_append_only_file_is_a_risk_and_no_error(
    client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Its owner may have reasons; the log names the risk."""
    client.config_set("appendonly", "no")
    (risk,) = check_server(client).risks
    assert "append-only file is off" in risk
    assert "server_risky" in caplog.text


@pytest.mark.processes
def test_a_replica_is_refused(client: redis.Redis) -> None:
    """It takes no writes."""
    client.replicaof("127.0.0.1", free_port())
    with pytest.raises(ServerError, match="is a replica"):
        check_server(client)


class _Told(redis.Redis):
    """A server that says of itself what a test wants, and forbids CONFIG as managed ones do."""

    def __init__(self, **info: object) -> None:
        super().__init__()
        self._info = {"redis_version": "7.2.4", "role": "master", "aof_enabled": 1, **info}

    def info(self, *_: Any, **__: Any) -> dict[str, Any]:
        return self._info

    def config_get(self, *_: Any, **__: Any) -> dict[str | None, str | None]:
        raise redis.ResponseError("unknown command 'CONFIG'")


@pytest.mark.parametrize(
    ("info", "problem"),
    [
        ({"redis_version": "6.2.14"}, "redis 6.2.14: Headway needs Redis 7"),
        ({"server_name": "valkey", "valkey_version": "6.0.0"}, "valkey 6.0.0"),
        ({"redis_mode": "cluster"}, "Redis Cluster"),
    ],
)
def test_a_server_that_cannot_work_is_refused(info: dict[str, object], problem: str) -> None:
    """Loudly, at the start, with the reason."""
    with pytest.raises(ServerError, match=problem):
        check_server(_Told(**info))


def test_a_managed_server_that_forbids_config_is_only_warned_of() -> None:
    """What can't be seen can't be refused."""
    (risk,) = check_server(_Told()).risks
    assert "make sure that it is noeviction" in risk


@pytest.mark.processes
def test_waiting_ends_as_soon_as_the_server_answers(
    own_server: ThrowawayServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Each wait is said, and the end of it too; never the password."""
    caplog.set_level("INFO")
    own_server.stop()
    starter = threading.Timer(0.3, own_server.start)
    starter.start()
    with connect(own_server.url, name="x") as client:
        wait_for_server(client, shown=parse(own_server.url).shown, patience=timedelta(seconds=20))
    starter.join()
    assert "broker_away" in caplog.text
    assert "broker_back" in caplog.text


def test_waiting_without_end_is_not_for_us() -> None:
    """When patience is over the error says what to do."""
    url = f"redis://127.0.0.1:{free_port()}/0"
    with connect(url, name="x") as client, pytest.raises(BrokerUnavailable, match="start it, or correct the URL"):
        wait_for_server(client, shown=parse(url).shown, patience=timedelta(0))


@pytest.mark.processes
def test_a_wrong_password_is_said_at_once(own_server: ThrowawayServer) -> None:
    """Waiting would help nobody."""
    own_server.client().config_set("requirepass", "right")
    for userinfo in ("", ":wrong@"):
        url = own_server.url.replace("//", f"//{userinfo}")
        with connect(url, name="x") as client, pytest.raises(ServerError, match="correct user and password"):
            wait_for_server(client, shown="there", patience=timedelta(seconds=20))
