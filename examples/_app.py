"""What does an app do? It pushes over HTTP, as it would to Picky Assist, and asks how its number stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from examples._stage import Broken, now_us
from headway import Message, MessageClass
from runtime.variables import DEMO_NUMBER

#: Rows of one push: as many as Picky takes.
_MOST_ROWS: Final = 10_000
_TIMEOUT: Final = aiohttp.ClientTimeout(total=15)


@dataclass(frozen=True, slots=True)
class Pushed:
    """A message that was accepted. `at_us`: when the answer was in, microseconds since 1970."""

    id: str
    at_us: int


class App:
    """An app with a token, and what else the run asks over HTTP. Used within one event loop."""

    def __init__(self, gateway_url: str, simulator_url: str, *, token: str) -> None:
        self._gateway, self._simulator, self._token = gateway_url, simulator_url, token
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def push(self, messages: Sequence[Message], *, class_: MessageClass) -> list[Pushed]:
        """Push in as few requests as it takes. Raises Broken, with the gateway's own words, when it refuses."""
        pushed = []
        for start in range(0, len(messages), _MOST_ROWS):
            body = {
                "token": self._token,
                "application": DEMO_NUMBER,
                "priority": class_.value,
                "data": [_row(message) for message in messages[start : start + _MOST_ROWS]],
            }
            answer = await self._ask("POST", f"{self._gateway}/api/v2/push", json=body)
            at_us = now_us()
            pushed += [Pushed(row["msg_id"], at_us) for row in answer["data"]]
        return pushed

    async def number(self) -> dict[str, Any]:
        """Ask the gateway how the number stands. Raises Broken."""
        return await self._ask("GET", f"{self._gateway}/v1/numbers/{DEMO_NUMBER}", headers=self._bearer())

    async def pause(self) -> None:
        """Let nothing leave any more. Raises Broken."""
        url, change = f"{self._gateway}/v1/numbers/{DEMO_NUMBER}", {"paused": True, "by": "the run"}
        await self._ask("PATCH", url, headers=self._bearer(), json=change)

    async def container(self) -> dict[str, Any]:
        """Ask the simulator how its container stands. Raises Broken."""
        return await self._ask("GET", f"{self._simulator}/healthz")

    async def verdict(self, *, since_us: int, until_us: int) -> dict[str, Any]:
        """Ask the simulator for its verdict. Raises Broken."""
        return await self._ask(
            "GET", f"{self._simulator}/verdict", params={"since_us": str(since_us), "until_us": str(until_us)}
        )

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    async def _ask(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        try:
            async with self._session.request(method, url, **options) as answer:
                if answer.status != 200:
                    raise Broken(f"{method} {url} was answered with {answer.status}: {(await answer.text())[:500]}")
                found: dict[str, Any] = await answer.json()
                return found
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Broken(f"{method} {url} was not answered: {str(error) or 'time-out'}") from error


def _row(message: Message) -> dict[str, str]:
    row = {"number": message.to, "message": message.text, "media": message.media_url}
    return {name: value for name, value in row.items() if value}
