"""Is a push that is asked for again after its gateway was killed accepted once, whole, by another gateway?"""

from __future__ import annotations

import json
import sys
import threading
import urllib.request
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from headway import MessageClass, keys
from tests.harness.gateway import NUMBER, TOKEN, push_of
from tests.harness.leaks import leaks
from tests.harness.processes import RunningProcess
from tests.harness.servers import ThrowawayServer
from tests.harness.waiting import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]

GATEWAY = [sys.executable, "-m", "gateway.serve", "--port", "0"]
ROWS = 10_000
BODY = json.dumps(push_of(*({"number": f"3933{at:08d}", "message": "m"} for at in range(ROWS)))).encode()


def started(server: ThrowawayServer) -> RunningProcess:
    """Start a gateway; it may not be ready yet."""
    environ = {"REDIS_URL": server.url, "API_TOKENS": TOKEN, "NUMBERS": NUMBER, "WEBHOOK_KEY": "off", "LOG": "json"}
    return RunningProcess(GATEWAY, env={f"HEADWAY_{name}": text for name, text in environ.items()})


def push(gateway: RunningProcess, key: str) -> tuple[dict[str, Any], bool]:
    """Push BODY; return the answer, and whether it says that the push was known."""
    url = gateway.wait_for_line(r"^gateway ready on (\S+)$", timeout=timedelta(seconds=30))[1] + "/api/v2/push"
    request = urllib.request.Request(url, data=BODY, headers={"Idempotency-Key": key})  # noqa: S310  loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  loopback
        return json.loads(answer.read()), answer.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("rows", [0, 1, 5_000, 9_501], ids=lambda rows: f"after {rows} rows")
def test_what_a_killed_gateway_began_another_one_completes(own_server: ThrowawayServer, rows: int) -> None:
    """SIGKILL after the claim and before the answer: the same ids, each once, whoever asks again."""
    client: Any = own_server.client()
    lane = keys.lane(NUMBER, MessageClass.BULK)

    def so_far() -> bool:
        return next(client.scan_iter("headway:idempotency:*"), None) is not None and client.llen(lane) >= rows

    with started(own_server) as other, started(own_server) as doomed:
        doomed.wait_for_line("^gateway ready")

        def ask() -> None:
            with suppress(OSError):
                push(doomed, "k")

        asking = threading.Thread(target=ask)
        asking.start()
        wait_until(so_far, description=f"{rows} rows on the lane", every=timedelta(milliseconds=1))
        doomed.kill()
        asking.join()
        (claim,) = [client.get(name).decode().split(" ") for name in client.scan_iter("headway:idempotency:*")]
        answer, known = push(other, "k")
        again, still_known = push(other, "k")
    ids = [row["msg_id"] for row in answer["data"]]
    waiting = [json.loads(envelope)["headers"]["id"] for envelope in client.lrange(lane, 0, -1)]
    assert (len(waiting), sorted(waiting)) == (ROWS, sorted(ids))
    assert (answer["push_id"], known, still_known, again) == (claim[2], True, True, answer)
    assert not leaks(client)
    client.close()


def test_two_gateways_asked_at_one_time_accept_one_push(own_server: ThrowawayServer) -> None:
    """A client that gives up early and asks elsewhere costs nothing: both publish the same ids."""
    client: Any = own_server.client()
    answers: list[tuple[dict[str, Any], bool]] = []
    with started(own_server) as one, started(own_server) as other:
        for gateway in (one, other):
            gateway.wait_for_line("^gateway ready", timeout=timedelta(seconds=30))
        threads = [threading.Thread(target=lambda g=g: answers.append(push(g, "k"))) for g in (one, other, one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == 4
    assert all(answer == answers[0][0] for answer, _ in answers)
    assert sum(not known for _, known in answers) == 1
    assert client.llen(keys.lane(NUMBER, MessageClass.BULK)) == ROWS
    client.close()
