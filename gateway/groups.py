"""How many receipts may a group's message bring, when the push doesn't say how many members the group has?

The provider is asked, beside the push and never before it: until it has answered, the lease goes by the usual number
(256). One gateway process asks, inside a quota of its own, and all of them know for a day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import aiohttp
import redis

from gateway.commit import Commit
from headway import keys
from headway.errors import BrokerUnavailable
from headway.message import MOST_MEMBERS, Message
from providers.picky_groups import DETAILS_PATH, NotToldError, members
from providers.picky_status import ask
from providers.quotas import Request, quota_of
from runtime import scripts
from runtime.scripts import Call
from runtime.settings import NumberSettings, Settings
from runtime.telemetry import Event, get_logger
from scheduler import quota

#: For how long an answer is believed: people join and leave.
KNOWN = timedelta(days=1)
#: After a question that brought no answer, and while one is under way.
UNKNOWN, ASKING = timedelta(minutes=15), timedelta(minutes=1)

_MS = timedelta(milliseconds=1)
_ASK = -1

_log = get_logger("gateway")


class Groups:
    """Knows groups by their messages; used from one event loop."""

    def __init__(self, commit: Commit, session: aiohttp.ClientSession, settings: Settings) -> None:
        self._commit = commit
        self._session = session
        self._settings = settings
        self._asking: set[asyncio.Task[None]] = set()

    async def with_members(self, number: str, rows: Sequence[Message]) -> Sequence[Message]:
        """Return the messages of one push; that to a group says how many members it has, if that is known.

        Costs nothing for all others. Raises BrokerUnavailable when the server is away.
        """
        if not rows or not rows[0].group_id or rows[0].group_members is not None:
            return rows
        try:
            found = int(await self._commit.run(_look(number, rows[0].group_id)))
        except redis.ResponseError:  # the push itself will hear of it
            return rows
        if found == _ASK:
            task = asyncio.get_running_loop().create_task(self._ask(number, rows[0].group_id))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        return [replace(rows[0], group_members=min(found, MOST_MEMBERS)), *rows[1:]] if found > 0 else rows

    async def close(self) -> None:
        """Ask nothing more."""
        for task in list(self._asking):
            task.cancel()
        if self._asking:
            await asyncio.wait(self._asking)

    async def _ask(self, number: str, group_id: str) -> None:
        """Ask the provider, if it may be asked now, and note what it says."""
        own = self._settings.number(number)
        try:
            if not await self._may_ask(own):
                return
            answer = await ask(
                self._session, DETAILS_PATH, urls=own.provider_urls, token=own.provider_token.reveal(),
                application=own.application, group_id=group_id,
            )  # fmt: skip
            try:
                learned, known = str(members(answer)), KNOWN
            except NotToldError as problem:
                _log.warning(Event.GROUP_UNKNOWN, number=number, problem=str(problem))
                learned, known = "", UNKNOWN
            await self._commit.run(_learn(number, group_id, learned, known))
        except (BrokerUnavailable, redis.ResponseError):
            return  # the claim to ask ends by itself

    async def _may_ask(self, own: NumberSettings) -> bool:
        limit = quota_of(own.provider, Request.GROUP)
        if limit is None or not own.provider_token:
            return False
        account = quota.account_of(own.provider, own.provider_token.reveal())
        call = quota.take(account, limit.name, limit.per_minute, uuid4().hex)
        return quota.taken(await self._commit.run(call)).granted


def _look(number: str, group_id: str) -> Call:
    return Call(scripts.load("gateway", "group_look"), [keys.members(number, group_id)], [ASKING // _MS])


def _learn(number: str, group_id: str, learned: str, known: timedelta) -> Call:
    return Call(scripts.load("gateway", "group_learn"), [keys.members(number, group_id)], [learned, known // _MS])
