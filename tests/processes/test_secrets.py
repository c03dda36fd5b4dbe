"""Does any secret get out: into logs, answers, files, the server, or what `ps` shows?"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.harness.processes import RunningProcess
from tests.harness.servers import ThrowawayServer
from tests.harness.waiting import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(200)]

NUMBER = "15555550100"
#: What must be nowhere. The wrong ones too: a typing error away from a right one is a secret as well.
SECRETS = {
    "redis password": "hushR3d1sPassw0rd",
    "API token": "hushApiTokenAAAAAAAA",
    "former API token": "hushApiTokenBBBBBBBB",
    "webhook key": "hushWebhookKeyCCCCCC",
    "provider token": "hushProviderTokenDDD",
    "app key": "hushForwardKeyEEEEEE",
    "wrong token": "hushWrongTokenFFFFFF",
    "wrong key": "hushWrongKeyGGGGGGGG",
}
TEXT = "hushTextOfAMessage"


@pytest.fixture
def guarded(own_server: ThrowawayServer) -> Iterator[Any]:
    """Let the server ask for a password; return a client that knows it."""
    client: Any = own_server.client()
    client.config_set("rdbcompression", "no")  # DUMP would hide what we look for
    client.config_set("requirepass", SECRETS["redis password"])
    client.execute_command("AUTH", SECRETS["redis password"])
    yield client
    client.close()


def call(url: str, body: object = None, *, token: str = "") -> str:
    """Make a request; return status, headers and body of whatever is answered."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310  loopback
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310  loopback
            return f"{answer.status} {answer.headers} {answer.read().decode()}"
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code} {error.headers} {error.read().decode()}"


def command_lines(pids: list[int]) -> str:
    """Return what `ps` shows of processes and their children."""
    found = []
    for pid in pids:
        found.append(Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8"))
        children = [text for path in Path(f"/proc/{pid}/task").glob("*/children") for text in path.read_text().split()]
        found.append(command_lines([int(child) for child in children]))
    return "\n".join(found)


def everything_in(client: Any) -> str:
    """Return all keys and all values of a server, as it would write them to its disk."""
    return "\n".join(f"{key!r} {client.dump(key)!r}" for key in client.scan_iter())


def test_no_secret_gets_out(own_server: ThrowawayServer, guarded: Any, tmp_path: Path) -> None:
    """Of a run with good and bad requests, a provider that refuses and an app that is away: searched whole."""
    home = tmp_path / "home"
    env = {
        "HEADWAY_REDIS_URL": own_server.url.replace("//", f"//:{SECRETS['redis password']}@"),
        "HEADWAY_HOME": str(home), "HEADWAY_NUMBERS": NUMBER, "HEADWAY_LOG": "json", "HEADWAY_TPS": "100",
        "HEADWAY_API_TOKENS": f"{SECRETS['API token']},{SECRETS['former API token']}",
        "HEADWAY_WEBHOOK_KEY": SECRETS["webhook key"], "HEADWAY_PROVIDER_TOKEN": SECRETS["provider token"],
        "HEADWAY_FORWARD_URL": f"http://127.0.0.1:9/hook?key={SECRETS['app key']}",
    }  # fmt: skip
    answers: list[str] = []
    with ExitStack() as stack:
        sink = stack.enter_context(RunningProcess([sys.executable, "-m", "simulator.sink", "--port", "0"]))
        env["HEADWAY_PROVIDER_URL"] = sink.wait_for_line(r"^sink ready on (\S+)$")[1]
        command = [str(Path(sys.executable).with_name("headway")), "up", "--port", "0", "-c", "2"]
        up = stack.enter_context(RunningProcess(command, env=env, cwd=tmp_path))
        url = up.wait_for_line(r"Headway is up on (\S+)", timeout=timedelta(seconds=60))[1]
        answers += _good_and_bad(url)
        wait_until(lambda: "sent" in call(f"{url}/v1/messages/{_id(answers[0])}", token=SECRETS["API token"]),
                   description="the message to be sent")  # fmt: skip
        told = command_lines([up.pid])
        explained = stack.enter_context(RunningProcess([command[0], "explain"], env=env, cwd=tmp_path))
        explained.wait(timeout=timedelta(seconds=30))
        kept = everything_in(guarded)
        up.terminate(timeout=timedelta(seconds=60))
        written = "\n".join(path.read_text(errors="replace") for path in home.rglob("*") if path.is_file())
        places = {
            "output": up.output, "answers": "\n".join(answers), "command lines": told, "explain": explained.output,
            "the server": kept, "files": written,
        }  # fmt: skip
    assert "HEADWAY_PROVIDER_TOKEN" in explained.output
    assert "webhooks/picky" in up.output
    assert TEXT in places["the server"]  # else the look into it would see nothing
    out = [f"{name} in {place}" for place, text in places.items() for name, secret in SECRETS.items() if secret in text]
    assert out == []
    assert TEXT not in places["output"]


def _good_and_bad(url: str) -> list[str]:
    """Push and send webhooks, right and wrong; return all answers, that of the good push first."""
    right, wrong = SECRETS["API token"], SECRETS["wrong token"]
    good = {"token": right, "application": NUMBER, "data": [{"number": "393331234567", "message": TEXT}]}
    push = f"{url}/api/v2/push"
    inbound = {"unique-id": "1", "number": "393331234567", "message-in": TEXT}
    hook = f"{url}/webhooks/picky/{NUMBER}?key="
    return [
        call(push, good),
        call(push, {**good, "token": SECRETS["former API token"]}),
        call(push, {**good, "token": wrong}),
        call(push, {**good, "data": [{"number": "x", "message": TEXT}]}),
        call(push, {**good, "data": 5}),
        call(push, json.dumps(good).encode()[:-1]),
        call(push, {**good, "token": {"a": wrong}}),
        call(f"{url}/v1/numbers", token=right),
        call(f"{url}/v1/numbers/{NUMBER}", token=right),
        call(f"{url}/openapi.json"),
        call(hook + SECRETS["webhook key"], inbound),
        call(hook + SECRETS["webhook key"], {**inbound, "unique-id": ["x"]}),
        call(hook + SECRETS["wrong key"], inbound),
        call(f"{url}/v1/nothing?key={wrong}"),
    ]


def _id(answer: str) -> str:
    return str(json.loads(answer[answer.rindex('{"status"') :])["data"][0]["msg_id"])
