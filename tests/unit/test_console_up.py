"""When is a dead process started again, and what does a person hear once everything runs?"""

from __future__ import annotations

import socket
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from console.watch import MOST_DEATHS, Deaths
from console.welcome import api_token, token_file, webhook_key, webhook_key_file, welcome
from gateway.serve import serve
from headway import HeadwayError
from runtime.settings import Settings

MINUTE_US = timedelta(minutes=1) // timedelta(microseconds=1)


def test_each_death_waits_twice_as_long_until_nobody_is_started_again() -> None:
    """Pauses of 0.5, 1, 2 and 4 s; the fifth death within a minute is the last."""
    deaths = Deaths()
    assert [deaths.pause_us(index) for index in range(MOST_DEATHS)] == [500_000, 1_000_000, 2_000_000, 4_000_000, None]


def test_deaths_of_an_hour_ago_are_forgotten() -> None:
    """Who dies once in a quarter of a minute is started again for ever; what is a minute old counts no more."""
    deaths = Deaths()
    pauses = [deaths.pause_us(index * MINUTE_US // 3) for index in range(20)]
    assert pauses[:3] == [500_000, 1_000_000, 2_000_000]
    assert set(pauses[3:]) == {2_000_000}


def test_a_port_that_is_taken_is_named() -> None:
    """With what to say instead."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HeadwayError, match=f"port {port} of 127.0.0.1 is taken .* another port with --port"):
            serve(Settings.from_env({"HEADWAY_API_TOKENS": "s3cret"}), host="127.0.0.1", port=port)


def test_the_token_is_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    """The second call reads what the first one made; an empty file counts as none."""
    token_file(tmp_path).write_text("\n")
    token = api_token(tmp_path)
    assert len(token) >= 32
    assert api_token(tmp_path) == token
    assert stat.S_IMODE(token_file(tmp_path).stat().st_mode) == 0o600


def test_the_webhook_key_is_made_as_the_token_is_and_is_another(tmp_path: Path) -> None:
    """A provider that leaks its addresses gives no token away."""
    key = webhook_key(tmp_path)
    assert len(key) >= 32
    assert key not in (api_token(tmp_path), "")
    assert webhook_key(tmp_path) == key
    assert stat.S_IMODE(webhook_key_file(tmp_path).stat().st_mode) == 0o600


def test_a_token_with_a_newline_at_its_end_is_the_same_token(tmp_path: Path) -> None:
    """A person may have written the file with an editor."""
    token_file(tmp_path).write_text("s3cret\n")
    assert api_token(tmp_path) == "s3cret"


@pytest.mark.parametrize(
    ("environ", "said", "unsaid"),
    [
        ({}, ["15555550100 (10 TPS)", "api-token", "(HEADWAY_PROVIDER_TOKEN is not set)"], ["key=…", "API_TOKENS"]),
        ({}, ["?key=$(cat ", "/.headway/webhook-key)"], []),
        ({"HEADWAY_WEBHOOK_KEY": "off"}, ["/webhooks/picky/15555550100\n"], ["?key="]),
        (
            {"HEADWAY_API_TOKENS": "s3cret", "HEADWAY_WEBHOOK_KEY": "k3y", "HEADWAY_PROVIDER_TOKEN": "pr0vider"},
            ["${HEADWAY_API_TOKENS%%,*}", "/webhooks/picky/15555550100?key=…"],
            ["s3cret", "k3y", "pr0vider", "api-token", "is not set"],
        ),
        (
            {"HEADWAY_NUMBERS": ",".join(f"1555555010{end}" for end in range(6))},
            ["6 of HEADWAY_NUMBERS"],
            ["15555550105"],
        ),
    ],
)
def test_the_welcome_says_where_things_are_and_no_secret(
    environ: dict[str, str], said: list[str], unsaid: list[str]
) -> None:
    """URL, numbers, webhook address, the token's place and a line to try; never a token or a key itself."""
    text = welcome(Settings.from_env(environ), "http://127.0.0.1:8080")
    assert "Headway is up on http://127.0.0.1:8080" in text
    assert [part for part in said if part not in text] == []
    assert [part for part in unsaid if part in text] == []
