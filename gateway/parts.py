"""What do all requests of one gateway process share?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import aiohttp
import redis

from gateway.applications import Applications
from gateway.auth import Tokens
from gateway.commit import ANSWER_WITHIN, Commit
from gateway.serials import Serials
from headway.errors import BrokerUnavailable
from providers.wire import open_session
from runtime.connect import connect, connect_async
from runtime.secret import hide_passwords
from runtime.settings import Settings

T = TypeVar("T")

#: Reads of people and of apps that look a message up: not the hot path.
READERS = 4


class Parts:
    """The values, connections and threads of one process. Made and closed within its event loop."""

    def __init__(self, settings: Settings, url: str) -> None:
        """Take the settings and the server's URL. Raises ValueError when there are no tokens."""
        self.settings = settings
        self.tokens = Tokens(settings.api_tokens)
        self.applications = Applications(settings)
        self.commit = Commit(connect_async(url, name="headway-gateway", patience=ANSWER_WITHIN))
        self.serials = Serials(self.commit)
        #: For calls to providers and to the app's own webhook.
        self.session: aiohttp.ClientSession = open_session()
        #: What must end while the server and the session can still be used, in this order.
        self.before_close: list[Callable[[], Awaitable[None]]] = []
        self._client = connect(url, name="headway-gateway-reads", patience=ANSWER_WITHIN)
        self._readers = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="read")
        #: For work that would hold up the loop: reading and sealing a large push.
        self._builder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="build")

    async def ask(self, question: Callable[[redis.Redis], T]) -> T:
        """Ask the server something that no request waits in line for, on a thread.

        Raises BrokerUnavailable when it doesn't answer or refuses.
        """
        if self.commit.away:
            raise BrokerUnavailable(self.commit.away)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, question, self._client)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise BrokerUnavailable(f"the server doesn't answer ({hide_passwords(str(error))}): try again") from error
        except redis.ResponseError as error:
            raise BrokerUnavailable(f"the server refuses ({error}): nothing was changed, try again") from error

    async def build(self, work: Callable[[], T]) -> T:
        """Do a piece of work on a thread of its own, so that other requests go on meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._builder, work)

    async def close(self) -> None:
        """Give everything back; what waits for the server fails."""
        for end in self.before_close:
            await end()
        await self.session.close()
        await self.commit.close()
        await asyncio.to_thread(self._readers.shutdown)
        await asyncio.to_thread(self._builder.shutdown)
        self._client.close()
