"""Was this push asked for before? `Idempotency-Key`, which holds for a day, in all gateway processes.

The ids of a push are chosen before it is published, and stand in the claim of its key. So whoever asks again, after a
crash, after an answer that got lost, or at the same moment, publishes the same ids, and an id is accepted once: nothing
needs to be waited for or taken back, and a push that was cut in the middle is completed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final

import redis
from starlette.requests import Request

from gateway.commit import Commit
from gateway.problems import BadRequest, Conflict
from headway import keys
from headway.errors import BrokerUnavailable
from runtime import scripts
from runtime.scripts import Call

#: Told in the answer to who asked before.
REPLAYED: Final = {"idempotent-replayed": "true"}
#: How long a key holds, in seconds, from the claim and again from the answer on.
TTL_S: Final = 24 * 60 * 60
#: Longest key, in characters.
LONGEST: Final = 255
#: What the OpenAPI page says of the header.
HEADERS: Final = {
    "Idempotency-Key": {
        "type": "string",
        "pattern": f"^[!-~]{{1,{LONGEST}}}$",
        "description": "asked again with the same body within a day: answered the same, accepted once",
    }
}
_KEY: Final = re.compile(rf"[!-~]{{1,{LONGEST}}}\Z")
_DIGEST: Final = 32
_CLAIMED, _DONE = "claimed", "done"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that named its key: where its claim stands, and the digest of its body."""

    name: str
    body: str


@dataclass(frozen=True, slots=True)
class Claim:
    """The push that answers: the ids of its rows follow `push_id`."""

    push_id: int
    #: Another request claimed it.
    known: bool
    #: All rows were accepted.
    done: bool = False
    #: What else the first answer said, as text.
    said: str = ""


def key_of(request: Request) -> str:
    """Return the key that a request names, or nothing. Raises BadRequest for one that can't be."""
    given = request.headers.getlist("idempotency-key")
    if not given:
        return ""
    if len(given) > 1 or not _KEY.match(given[0]):
        raise BadRequest(f"Idempotency-Key: must be one key of 1 to {LONGEST} visible ASCII characters, no blanks")
    return given[0]


def asked(key: str, *, caller: str, body: bytes) -> Asked:
    """Say who asks what. Each caller has its own keys; another spelling of the same JSON is another body."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:_DIGEST]
    return Asked(keys.idempotency(caller, digest), hashlib.sha256(body).hexdigest())


class Claims:
    """The claims of keys; used from one event loop. All of it may be asked again."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit

    async def find(self, asked: Asked) -> Claim | None:
        """Return the claim that holds. Raises Conflict for another body, BrokerUnavailable."""
        return _read(await self._run(Call(scripts.load("gateway", "claim_push"), [asked.name], ["", TTL_S])), asked)

    async def take(self, asked: Asked, push_id: int) -> Claim:
        """Claim the key for a push; return the claim that holds: another request may have been first.

        Raises Conflict and BrokerUnavailable.
        """
        call = Call(scripts.load("gateway", "claim_push"), [asked.name], [_written(_CLAIMED, asked, push_id), TTL_S])
        held = _read(await self._run(call), asked)
        return held if held and held.push_id != push_id else Claim(push_id, known=False)

    async def conclude(self, asked: Asked, push_id: int, said: str = "") -> None:
        """Say that all rows were accepted, and what else a repetition is told.

        When it can't be said, a repetition looks at its rows again: no harm.
        """
        done = f"{_written(_DONE, asked, push_id)} {said}".rstrip()
        args: list[scripts.Argument] = [_written(_CLAIMED, asked, push_id), done, TTL_S]
        try:
            await self._commit.run(Call(scripts.load("gateway", "conclude_push"), [asked.name], args))
        except (redis.ResponseError, BrokerUnavailable):
            return

    async def _run(self, call: Call) -> Any:
        try:
            return await self._commit.run(call)
        except redis.ResponseError as error:
            raise BrokerUnavailable(f"the server takes no messages ({error}); try again") from error


def _written(state: str, asked: Asked, push_id: int) -> str:
    return f"{state} {asked.body} {push_id}"


def _read(reply: bytes, asked: Asked) -> Claim | None:
    if not reply:
        return None
    state, body, push_id, *said = reply.decode().split(" ", 3)
    if body != asked.body:
        raise Conflict("Idempotency-Key: came with another body before; a new push needs a new key")
    return Claim(int(push_id), known=True, done=state == _DONE, said="".join(said))
