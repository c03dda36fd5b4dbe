"""Where do provider calls run? One asyncio loop in a thread of its own, per process.

The pool's threads wait for them; the loop itself never touches Redis, so that a slow server can't stretch a provider's
deadline.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import aiohttp

from providers.wire import open_session

Result = TypeVar("Result")


class CallLoop:
    """An asyncio loop with the HTTP session that all providers of the process share."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._session: aiohttp.ClientSession | None = None
        threading.Thread(target=self._loop.run_forever, name="headway-calls", daemon=True).start()

    def submit(self, call: Callable[[aiohttp.ClientSession], Coroutine[Any, Any, Result]], /) -> Future[Result]:
        """Start a call; the session is made on the loop, with the first one."""
        return asyncio.run_coroutine_threadsafe(self._run(call), self._loop)

    def cancel(self) -> None:
        """Give up the calls that are under way; from any thread. Later ones are made as before."""
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(self._loop)])

    def close(self) -> None:
        """Close the session and stop the loop; calls still under way are cancelled."""

        async def end() -> None:
            if self._session is not None:
                await self._session.close()
            self._loop.stop()

        self._loop.call_soon_threadsafe(lambda: self._loop.create_task(end()))

    async def _run(self, call: Callable[[aiohttp.ClientSession], Coroutine[Any, Any, Result]]) -> Result:
        if self._session is None:
            self._session = open_session()
        return await call(self._session)
