"""Is a campaign stopped within a second, and each of its messages sent once, when processes die and persons step in?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from headway import MessageClass, keys
from tests.harness.waiting import wait_until
from tests.processes.worker_kit import House, open_house

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

HEADWAY = Path(sys.executable).with_name("headway")
TEXT = ("--to", "phone", "--text", "Hi {{name}}")
#: A verb holds on all workers from then on, and what was on the wire is there.
IN_FORCE_S = 1.0
#: More than leave at 40 a second while three commands start, however busy the machine.
MANY = 2_000
#: Long enough for a worker that had not heard to send more.
STILL_S = 2.0


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server and one sink for all tests here."""
    with open_house(tmp_path_factory.mktemp("house")) as house:
        yield house


def environment(house: House, number: str) -> dict[str, str]:
    """Return what a command is started with."""
    own = {"HEADWAY_REDIS_URL": house.server.url, "HEADWAY_NUMBERS": number, "HEADWAY_HOME": str(house.folder / "home")}
    return {**os.environ, **own}


def campaign(house: House, number: str, *arguments: str) -> str:
    """Run `headway campaign …` to its end and return what it printed."""
    result = subprocess.run(
        [HEADWAY, "campaign", *arguments],
        env=environment(house, number), cwd=house.folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def guests(house: House, count: int) -> Path:
    """Return a file with so many guests."""
    path = house.folder / f"guests{count}.csv"
    path.write_text("phone,name\n" + "".join(f"39333{at:07d},{at}\n" for at in range(count)), encoding="utf-8")
    return path


def send(house: House, number: str, count: int, *arguments: str) -> dict[str, Any]:
    """Send a campaign; return it."""
    told = campaign(house, number, "send", str(guests(house, count)), *TEXT, "--json", *arguments)
    found: dict[str, Any] = json.loads(told)["campaign"]
    return found


def ids_of(made: dict[str, Any]) -> list[str]:
    """Return the ids of its messages."""
    return [f"{made['id']}.{place}" for place in range(1, made["records"] + 1)]


def still_after(house: House, ids: list[str]) -> int:
    """Return how many have arrived; none arrives from a second after the verb on."""
    time.sleep(IN_FORCE_S)
    arrived = len(house.arrivals(ids))
    time.sleep(STILL_S)
    assert len(house.arrivals(ids)) == arrived
    return arrived


def test_a_killed_send_goes_on_where_it_was(house: House) -> None:
    """SIGKILL in the middle of loading; the same command again puts each message on its lane once."""
    number = house.number()
    file = guests(house, 4_000)
    lane = keys.lane(number, MessageClass.BULK)
    command = [str(HEADWAY), "campaign", "send", str(file), *TEXT]
    with subprocess.Popen(command, env=environment(house, number), stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: house.redis.llen(lane) > 0, description="first messages", timeout=timedelta(seconds=30))
        process.send_signal(signal.SIGKILL)
    cut = house.redis.llen(lane)
    assert 0 < cut < 4_000, "it was killed too late to show anything"
    told = campaign(house, number, "list", "--json")
    (one,) = [found for found in json.loads(told)["campaigns"] if found["number"] == number]
    assert (one["state"], one["whole"]) == ("loading", False)
    made = send(house, number, 4_000)
    assert made["id"] == one["id"]
    found = [json.loads(raw)["headers"]["id"] for raw in reversed(house.redis.lrange(lane, 0, -1))]
    assert found == ids_of(made)


def test_a_running_campaign_is_paused_resumed_and_cancelled(house: House) -> None:
    """Each within a second, on what the worker has taken too; what had left is sent once, the rest says who and why."""
    number = house.number()
    with house.worker(number, env={"HEADWAY_TPS": "40"}) as worker:
        worker.ready()
        made = send(house, number, MANY)
        ids = ids_of(made)
        wait_until(lambda: len(house.arrivals(ids)) >= 10, description="its first messages at the provider")
        assert "is paused" in campaign(house, number, "pause", made["id"])
        paused = still_after(house, ids)
        assert 10 <= paused < MANY
        campaign(house, number, "resume", made["id"])
        wait_until(lambda: len(house.arrivals(ids)) >= paused + 10, description="more of its messages")
        campaign(house, number, "cancel", made["id"], "--reason", "wrong list")
        left = still_after(house, ids)
        assert left < MANY
        arrived = house.arrivals(ids)
        assert len(arrived) == len(set(arrived))
        house.have_arrived(house.push(number, 3))
    shown = json.loads(campaign(house, number, "show", made["id"], "--json"))
    assert shown["state"] == "cancelled"
    assert shown["messages"] == {"cancelled": MANY - left, "sent": left}
    assert house.record(next(one for one in ids if one not in arrived))["state"] == "cancelled"


def test_a_campaign_runs_to_its_end_under_watch(house: House) -> None:
    """The watch ends by itself when nothing waits."""
    number = house.number()
    with house.worker(number) as worker:
        worker.ready()
        made = send(house, number, 100)
        told = campaign(house, number, "watch", made["id"], "--every", "0.2", "--json").splitlines()
        house.have_arrived(ids_of(made))
    last = json.loads(told[-1])
    assert (last["state"], last["messages"]) == ("done", {"sent": 100})
