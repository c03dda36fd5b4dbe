"""How does Picky Assist carry rows? One POST with all of them, sent at most once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import aiohttp

from providers.addresses import Addresses
from providers.base import Row
from providers.outcomes import TEXT_LIMIT, Outcome, Verdict, all_alike, clean
from providers.picky_answer import read_answer
from providers.picky_request import PATH, SHAPE_FIELDS, encode, fitting
from providers.wire import CONNECT_LIMIT_S, CONNECT_TRIES, NoAnswer, post


class PickyProvider:
    """Picky Assist's Push API v2 for one number (channel)."""

    name = "picky"
    shape_fields = SHAPE_FIELDS

    def __init__(
        self,
        *,
        urls: Sequence[str],
        token: str,
        application: str,
        timeout: timedelta,
        session: aiohttp.ClientSession,
    ) -> None:
        """Take base URLs (primary first), Picky's token and channel id, and the deadline of one whole send.

        The session is used, never closed. Raises ValueError when there is no URL or the deadline isn't positive.
        """
        self._addresses = Addresses(urls)
        self._token = token
        self._application = application
        self._timeout_s = timeout.total_seconds()
        if self._timeout_s <= 0:
            raise ValueError("the deadline of a send must be longer than nothing")
        # Every address gets its tries, and one part of the deadline is left for the answer.
        self._connect_s = min(CONNECT_LIMIT_S, self._timeout_s / (CONNECT_TRIES * len(self._addresses) + 1))
        self._session = session

    async def send(self, rows: Sequence[Row]) -> list[Outcome]:
        """Send rows of one shape once; return one outcome per row, in order. Raises only asyncio.CancelledError.

        Rows that can't share a request with the first one come back as `retry`; nothing of them left.
        """
        if not rows:
            return []
        kept = fitting(rows)
        ends = {outcome.row_id: self._without_token(outcome) for outcome in await self._send(kept)}
        reason = "can't share a request with the other rows of this lease"
        aside = all_alike([row.id for row in rows], Verdict.RETRY, code="shape", reason=reason, left=False)
        return [ends.get(outcome.row_id, outcome) for outcome in aside]

    async def close(self) -> None:
        """Do nothing: the session belongs to whoever made it."""

    async def _send(self, rows: Sequence[Row]) -> list[Outcome]:
        ids = [row.id for row in rows]
        try:
            payload = encode(rows, token=self._token, application=self._application)
        except (TypeError, ValueError, RecursionError) as error:
            reason = clean(f"can't be written as JSON: {error}")
            return all_alike(ids, Verdict.REFUSED, code="unwritable", reason=reason, left=False)
        try:
            return await self._exchange(rows, payload)
        except Exception as error:  # noqa: BLE001  a fault of ours must not make a sent row look unsent
            reason = clean(f"{type(error).__name__}: {error}")
            return all_alike(ids, Verdict.UNCERTAIN, code="fault", reason=reason)

    async def _exchange(self, rows: Sequence[Row], payload: bytes) -> list[Outcome]:
        deadline_s = asyncio.get_running_loop().time() + self._timeout_s
        result = NoAnswer("unreachable", "no address was tried", left=False)
        for url in self._addresses.in_order():
            answer = await post(self._session, url + PATH, payload, deadline_s=deadline_s, connect_s=self._connect_s)
            if not isinstance(answer, NoAnswer):
                self._addresses.reached(url)
                return read_answer(rows, answer)
            result = answer
            if result.left:
                break
            self._addresses.unreachable(url)
        verdict = Verdict.UNCERTAIN if result.left else Verdict.RETRY
        ids = [row.id for row in rows]
        return all_alike(ids, verdict, code=result.code, reason=clean(result.reason), left=result.left)

    def _without_token(self, outcome: Outcome) -> Outcome:
        """Keep the token out of records and logs, should the provider's message quote it."""
        if not self._token or self._token not in outcome.reason:
            return outcome
        return replace(outcome, reason=outcome.reason.replace(self._token, "***")[:TEXT_LIMIT])
