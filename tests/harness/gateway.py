"""What does a test of the HTTP door stand on? The app as it is served, on a throwaway server, without a network."""

from __future__ import annotations

from typing import Any

from gateway.app import build
from runtime.settings import Settings
from tests.harness.asgi import Answer, Door
from tests.harness.home import throwaway_home

TOKEN = "t0ken"
NUMBER = "15555550100"
OTHER = "15555550101"
#: The channel id that the provider gave NUMBER.
CHANNEL = "121"
TO = "393331234567"


def open_door(url: str, **texts: str) -> Door:
    """Return the door of two numbers; `texts` are HEADWAY_ variables without their prefix."""
    environ = {
        "HEADWAY_HOME": throwaway_home(),
        "HEADWAY_NUMBERS": f"{NUMBER},{OTHER}",
        f"HEADWAY_APPLICATION_{NUMBER}": CHANNEL,
        "HEADWAY_API_TOKENS": f"other,{TOKEN}",
        "HEADWAY_WEBHOOK_KEY": "off",
        **{f"HEADWAY_{name}": text for name, text in texts.items()},
    }
    return Door(build(Settings.from_env(environ), url))


def push_of(*rows: Any, **fields: Any) -> dict[str, Any]:
    """Return the body of a push with these rows; a text stands for a row to TO that says it."""
    data = [{"number": TO, "message": row} if isinstance(row, str) else row for row in rows]
    return {"token": TOKEN, "application": NUMBER, "data": data, **fields}


def bearer() -> dict[str, str]:
    """Return the header that shows the token."""
    return {"authorization": f"Bearer {TOKEN}"}


def pushed(answer: Answer) -> list[str]:
    """Return the ids of an accepted push's rows, in order."""
    assert answer.status == 200, answer.body
    return [row["msg_id"] for row in answer.json["data"]]
