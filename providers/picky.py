"""How does Picky Assist carry rows? One POST with all of them, sent at most once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import aiohttp

from providers.addresses import Addresses
from providers.base import Row
from providers.circuit import Circuit, Circuits, Entry
from providers.outcomes import TEXT_LIMIT, Outcome, Verdict, all_alike, clean
from providers.picky_answer import read_answer
from providers.picky_request import PATH, SHAPE_FIELDS, encode, fitting
from providers.throttling import throttled
from providers.wire import CONNECT_LIMIT_S, CONNECT_TRIES, Answer, NoAnswer, post, warm

#: From here on an HTTP status says that the server failed, not that the request was wrong. (RFC 9110, 15.6)
_SERVER_ERROR = 500


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
        circuits: Circuits | None = None,
    ) -> None:
        """Take base URLs (primary first), Picky's token and channel id, and the deadline of one whole send.

        `circuits`: those of the process, so that its numbers share what they learn of a URL. The session is used,
        never closed. Raises ValueError when there is no URL or the deadline isn't positive.
        """
        self._addresses = Addresses(urls, circuits=circuits)
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

    async def warm(self) -> None:
        """Have a connection ready for the next send. Raises only asyncio.CancelledError."""
        if url := self._addresses.next_url:
            await warm(self._session, url, connect_s=self._connect_s)

    async def close(self) -> None:
        """Do nothing: the session belongs to whoever made it."""

    async def _send(self, rows: Sequence[Row]) -> list[Outcome]:
        ids = [row.id for row in rows]
        try:
            payload = self._encoded(rows)
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
        result = NoAnswer("away", "the provider is away: nothing is sent until a probe is answered", left=False)
        for circuit, entry in self._addresses.entries():
            # A URL that was down is risked one row: the answer of a server that is half up may be an error, too.
            asked = rows[:1] if entry.probe else rows
            body = payload if len(asked) == len(rows) else self._encoded(asked)
            try:
                answer = await post(
                    self._session, entry.url + PATH, body, deadline_s=deadline_s, connect_s=self._connect_s
                )
                ends = self._ends(asked, answer)
                _tell(circuit, entry, answer, ends)
            finally:
                circuit.abandoned(entry)
            if not isinstance(answer, NoAnswer) or answer.left:
                return [*ends, *self._back(rows[len(asked) :], "probe", "waited for the probe of an address")]
            result = answer
        return self._back(rows, result.code, result.reason)

    def _ends(self, rows: Sequence[Row], answer: Answer | NoAnswer) -> list[Outcome]:
        if not isinstance(answer, NoAnswer):
            return read_answer(rows, answer)
        verdict = Verdict.UNCERTAIN if answer.left else Verdict.RETRY
        ids = [row.id for row in rows]
        return all_alike(ids, verdict, code=answer.code, reason=clean(answer.reason), left=answer.left)

    def _back(self, rows: Sequence[Row], code: str, reason: str) -> list[Outcome]:
        """Hand rows back of which nothing left; the number waits until an address may be tried again."""
        back = all_alike([row.id for row in rows], Verdict.RETRY, code=code, reason=clean(reason), left=False)
        return throttled(back, self._addresses.wait())

    def _encoded(self, rows: Sequence[Row]) -> bytes:
        return encode(rows, token=self._token, application=self._application)

    def _without_token(self, outcome: Outcome) -> Outcome:
        """Keep the token out of records and logs, should the provider's message quote it."""
        if not self._token or self._token not in outcome.reason:
            return outcome
        return replace(outcome, reason=outcome.reason.replace(self._token, "***")[:TEXT_LIMIT])


def _tell(circuit: Circuit, entry: Entry, answer: Answer | NoAnswer, ends: Sequence[Outcome]) -> None:
    """Tell the circuit what became of a request. A 5xx that says plainly what it did with the rows is an answer."""
    if isinstance(answer, NoAnswer):
        circuit.failed(entry, answer.reason, unreachable=not answer.left)
    elif answer.http_status >= _SERVER_ERROR and any(end.verdict is Verdict.UNCERTAIN for end in ends):
        circuit.failed(entry, f"HTTP {answer.http_status}")
    else:
        circuit.succeeded(entry)
