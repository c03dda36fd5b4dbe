"""Does a stranger's long body cost next to nothing, and does an app's get through however it is written?"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
import redis as redis_py

from gateway import push as push_module
from gateway.auth import Tokens, announce, one_of, require_key
from gateway.problems import BadRequest, Unauthorised
from runtime.secret import NONE, Secret
from runtime.settings import Settings
from tests.harness.asgi import Door
from tests.harness.gateway import NUMBER, TO, TOKEN, open_door, push_of, pushed
from tests.harness.servers import ThrowawayServer

PUSH = "/api/v2/push"
TOKENS = Tokens([Secret("old"), Secret("new")])
FILL = [{"number": TO, "message": "m" * 1000}] * 100


@pytest.fixture
def door(redis: redis_py.Redis, server: ThrowawayServer) -> Iterator[Door]:
    """The door of NUMBER and OTHER."""
    with open_door(server.url) as opened:
        yield opened


def long_body(**fields: Any) -> bytes:
    """Return a body that is too long to be read for a stranger."""
    return json.dumps({"data": FILL, **fields}).encode()


def front(body: bytes, *, in_header: str = "") -> str:
    """Look for the token in a body; return who asks."""
    return TOKENS.require_in_front(body, in_header=in_header)


def test_two_tokens_hold_at_one_time() -> None:
    """So that one can be replaced by the other without a pause; each caller keeps its own name."""
    assert TOKENS.knows("old")
    assert TOKENS.knows("new")
    assert not TOKENS.knows("ol")
    assert front(long_body(token="old")) == TOKENS.require_in_body("old") != TOKENS.require_in_body("new")


def test_an_empty_secret_is_nobodys() -> None:
    """Neither does a missing key let in who gives none."""
    assert not one_of([NONE], "")
    assert not one_of([], "")
    for given in ("", "x"):
        with pytest.raises(Unauthorised, match="has no HEADWAY_WEBHOOK_KEY"):
            require_key((), given, open_to_all=False)
    require_key((), "", open_to_all=True)


def test_each_of_several_keys_is_taken_after_all_were_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one costs as many comparisons as the last one, and as a wrong one."""
    compare = Mock(wraps=hmac.compare_digest)
    monkeypatch.setattr(hmac, "compare_digest", compare)
    keys = [Secret("new"), Secret("newer"), Secret("old")]
    assert [one_of(keys, given) for given in ("new", "old", "wrong", "")] == [True, True, False, False]
    assert compare.call_count == 4 * len(keys)


@pytest.mark.parametrize(
    "body",
    [
        long_body(token="new"), b"\xef\xbb\xbf" + long_body(token="new"), long_body(**{"token ": "new"}),
        long_body(**{" token": "new"}), long_body().replace(b"{", b'{"\\u0074oken": "new",', 1),
        long_body(token="x").replace(b'"x"', b'"new"'),
    ],
    ids=["last", "byte order mark", "blank after", "blank before", "escaped", "first"],
)  # fmt: skip
def test_a_token_is_found_wherever_a_client_puts_it(body: bytes) -> None:
    """Clients that sort their fields write it last, and Picky's samples have blanks in names."""
    assert front(body) == TOKENS.require_in_body("new")


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"token": ""}, {"token": None}, {"token": "x"}, {"token": 5}, {"token": ["new"]},
        {"token": {"token": "new"}}, {"token": "new" + "x" * 5000}, {"a": {"token": "new"}},
        {"message": '"token": "new"'},
    ],
    ids=str,
)  # fmt: skip
def test_no_other_place_will_do(fields: dict[str, Any]) -> None:
    """Only a text on the first level that is one of the tokens; a wrong one counts, a missing one doesn't."""
    with pytest.raises(Unauthorised) as caught:
        front(long_body(**fields))
    assert caught.value.wrong == bool(fields.get("token"))


def test_a_guess_in_the_header_counts_where_the_body_has_none() -> None:
    """Else guesses would be free there."""
    with pytest.raises(Unauthorised) as caught:
        front(long_body(), in_header="guess")
    assert caught.value.wrong


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 50_000, b"\xff" * 40_000, b'{"a": "' + b"x" * 40_000])
def test_a_long_body_that_is_no_json_is_not_looked_at_further(body: bytes) -> None:
    """What is wrong is said in a sentence, whatever the nesting."""
    with pytest.raises(BadRequest, match="no JSON object"):
        front(body)


def test_a_long_body_with_a_wrong_token_is_never_read(
    door: Door, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading 14 MB takes seconds that all others would wait for; looking for the token takes milliseconds."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr(push_module, "parse_object", never)
    answer = door.post(PUSH, push_of(*FILL, token="wrong"))
    assert (answer.status, answer.json["status"]) == (401, 401)
    assert door.post(PUSH, b'{"token": "' + TOKEN.encode() + b'", "data": [' + b"[" * 50_000).status == 400


def test_a_long_body_with_the_right_token_is_accepted(door: Door) -> None:
    """The token may be its last field."""
    body = {**push_of(*FILL), "priority ": "urgent"}
    token = body.pop("token")
    assert len(pushed(door.post(PUSH, {**body, "token": token}))) == len(FILL)


def test_questions_are_short(door: Door) -> None:
    """Two fields need no megabyte of a stranger's."""
    for path in ("/api/v2/delivery-report", "/api/v2/device-status", "/api/v2/check-balance"):
        assert door.post(path, long_body(token=TOKEN)).status == 413


def test_what_lets_strangers_in_is_said_aloud(caplog: pytest.LogCaptureFixture) -> None:
    """Open webhooks, closed ones, a lockout that is off, and secrets that can be guessed; good ones without a word."""
    environ = {
        "HEADWAY_NUMBERS": f"{NUMBER},15555550101,15555550102", "HEADWAY_API_TOKENS": "short",
        f"HEADWAY_WEBHOOK_KEY_{NUMBER}": "off", "HEADWAY_WEBHOOK_KEY_15555550101": "k" * 32, "HEADWAY_LOCKOUT": "off",
    }  # fmt: skip
    announce(Settings.from_env(environ))
    found = {record.msg["event"]: record.msg for record in caplog.records if isinstance(record.msg, dict)}
    assert set(found) == {"webhooks_open", "webhooks_closed", "lockout_off", "guessable"}
    assert found["webhooks_open"]["numbers"] == [NUMBER]
    assert found["webhooks_closed"]["numbers"] == ["15555550102"]
    assert found["guessable"]["variable"] == "HEADWAY_API_TOKENS"
    caplog.clear()
    announce(Settings.from_env({"HEADWAY_API_TOKENS": "t" * 16, "HEADWAY_WEBHOOK_KEY": "k" * 16}))
    assert not caplog.records
