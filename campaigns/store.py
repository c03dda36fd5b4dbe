"""Which campaigns are there, and how does one go from state to state?

A campaign is a hash beside its messages. Whoever changes it watches it: two that change it at one time do so one after
the other, and who changes it last has seen what the other did.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, TypeVar

import redis

from campaigns.problems import CampaignConflict, UnknownCampaign, require_text
from headway import keys

#: Campaigns of a page.
MOST: Final = 200
#: Entries that a number's list of changes keeps; as the scheduler's.
_CHANGES: Final = 1_000
_ID_BYTES: Final = 6
_ID: Final = re.compile(r"[0-9a-f]{12}\Z")
#: Campaigns that are listed; older ones are still found by their id.
_KEPT: Final = 10_000

T = TypeVar("T")


class State(StrEnum):
    """What becomes of a campaign."""

    #: Its messages are being put on their lanes; when that broke off it goes on with the same file.
    LOADING = "loading"
    #: All of its messages are on their lanes.
    RUNNING = "running"
    #: It rests until a person resumes it.
    PAUSED = "paused"
    #: None of its messages waits any more.
    DONE = "done"
    #: A person ended it: what had not left never does.
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """One campaign. Times are the server's, in milliseconds since 1970.

    `digest` tells its file's content; `recipe` is what `Recipe.of` reads. `records`: rows of the file; `rows`: messages
    that it makes; `loaded`: the place up to which records have been worked through; `suppressed`: those of them that
    were left out because the recipient wants no campaigns.
    """

    id: str
    name: str
    number: str
    file: str
    digest: str
    class_: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    records: int = 0
    rows: int = 0
    bad: int = 0
    duplicates: int = 0
    suppressed: int = 0
    loaded: int = 0
    whole: bool = False
    state: State = State.LOADING
    by: str = ""
    where: str = ""
    reason: str = ""
    at_ms: int = 0
    changed_ms: int = 0
    ttl_s: int = 0

    @property
    def queued(self) -> int:
        """How many messages are on their lanes, once all are."""
        return self.rows - self.suppressed if self.whole else 0

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        told = {name: getattr(self, name) for name in _SHOWN}
        return {**told, "class": self.class_, "state": self.state.value, "recipe": dict(self.recipe)}


_SHOWN: Final = (
    "id", "name", "number", "file", "records", "rows", "bad", "duplicates", "suppressed", "loaded", "whole",
    "by", "where", "reason", "at_ms", "changed_ms",
)  # fmt: skip
_WHOLE_NUMBERS: Final = frozenset(
    {"records", "rows", "bad", "duplicates", "suppressed", "loaded", "at_ms", "changed_ms", "ttl_s"}
)


@dataclass(frozen=True, slots=True)
class Who:
    """Who does something, from where and why."""

    by: str
    where: str = ""
    reason: str = ""

    def check(self) -> None:
        """Raise CampaignError for what can't be kept and shown as it is."""
        require_text("by", self.by, longest=100, least=1)
        require_text("reason", self.reason, longest=500)


def new_id() -> str:
    """Return an id for a campaign: 12 hexadecimal digits."""
    return secrets.token_hex(_ID_BYTES)


def message_id(campaign_id: str, place: int) -> str:
    """Return the id of the message that a record makes; `place` counts records from 1."""
    return f"{campaign_id}.{place}"


def find(client: redis.Redis, *, number: str, name: str, digest: str) -> Campaign | None:
    """Return the campaign that was made with this name from this content, or None."""
    found = client.get(keys.campaign_of(_fingerprint(number, name, digest)))
    return None if found is None else _read(client, _str(found))


def create(client: redis.Redis, campaign: Campaign) -> Campaign:
    """Put a campaign down, unless there is one of its number, name and content: then that one is returned."""
    of = keys.campaign_of(_fingerprint(campaign.number, campaign.name, campaign.digest))

    def write(pipe: Any) -> Campaign:
        known = pipe.get(of)
        if known is not None and (there := _of_hash(_str(known), pipe.hgetall(keys.campaign(_str(known))))):
            pipe.multi()
            return there
        now_ms, listed_s = _now_ms(pipe), pipe.ttl(keys.campaigns())
        made = replace(campaign, at_ms=now_ms, changed_ms=now_ms)
        pipe.multi()
        pipe.set(of, made.id, ex=made.ttl_s)
        pipe.hset(keys.campaign(made.id), mapping=_to_hash(made))
        pipe.expire(keys.campaign(made.id), made.ttl_s)
        pipe.zadd(keys.campaigns(), {made.id: now_ms})
        pipe.zremrangebyrank(keys.campaigns(), 0, -_KEPT - 1)
        pipe.expire(keys.campaigns(), max(made.ttl_s, listed_s))
        _audit(pipe, made)
        return made

    return watched(client, [of], write)


def read(client: redis.Redis, campaign_id: str) -> Campaign:
    """Return a campaign. Raises UnknownCampaign."""
    found = _read(client, campaign_id)
    if found is None:
        raise _unknown(campaign_id)
    return found


def page(client: Any, *, most: int = MOST, after: str = "") -> tuple[list[Campaign], str]:
    """Return campaigns, the newest first, and what the next page begins after; empty on the last one."""
    rank = client.zrevrank(keys.campaigns(), after) if after else None
    if after and rank is None:
        raise UnknownCampaign(f"there is no campaign {after[:40]!r} to go on after")
    start = 0 if rank is None else int(rank) + 1
    ids = [_str(id) for id in client.zrevrange(keys.campaigns(), start, start + most - 1)]
    with client.pipeline(transaction=False) as pipe:
        for campaign_id in ids:
            pipe.hgetall(keys.campaign(campaign_id))
        found = [_of_hash(id, stored) for id, stored in zip(ids, pipe.execute(), strict=True)]
    # One whose time is over stays listed until a later one is made: there is nothing to show of it.
    return [campaign for campaign in found if campaign is not None], ids[-1] if len(ids) == most else ""


def become(client: redis.Redis, campaign_id: str, to: State) -> Campaign:
    """Change a campaign's state as a person asks: paused, cancelled, or (running) resumed. Returns it as it is now.

    What becomes of its messages is the scheduler's, which also notes who asked and why. Asking for what is so already
    changes nothing. Raises UnknownCampaign, and CampaignError when its state can't be
    followed by that one.
    """

    def write(pipe: Any) -> Campaign:
        campaign = _watched_read(pipe, campaign_id)
        now_ms = _now_ms(pipe)
        pipe.multi()
        after = State.LOADING if to is State.RUNNING and not campaign.whole else to
        if campaign.state is after:
            return campaign
        if campaign.state not in _BEFORE[to]:
            raise CampaignConflict(f"campaign {campaign.id} is {campaign.state.value}, so it can't be {_SAID[to]}")
        changed = replace(campaign, state=after, changed_ms=now_ms)
        _write(pipe, campaign, changed)
        return changed

    return watched(client, [keys.campaign(campaign_id)], write)


_BEFORE: Final[Mapping[State, frozenset[State]]] = {
    State.PAUSED: frozenset({State.LOADING, State.RUNNING}),
    State.RUNNING: frozenset({State.PAUSED}),
    State.CANCELLED: frozenset({State.LOADING, State.RUNNING, State.PAUSED}),
}
_SAID: Final = {State.PAUSED: "paused", State.RUNNING: "resumed", State.CANCELLED: "cancelled"}


def update(client: redis.Redis, campaign_id: str, change: Callable[[Campaign, Any], Campaign]) -> Campaign:
    """Change a campaign in one step with what `change` puts into the pipeline that it is given.

    `change` sees the campaign as it is, and returns it as it shall be; when somebody else changes it meanwhile nothing
    of this is done, and `change` is asked again. Raises UnknownCampaign.
    """

    def write(pipe: Any) -> Campaign:
        campaign = _watched_read(pipe, campaign_id)
        now_ms = _now_ms(pipe)
        pipe.multi()
        changed = change(campaign, pipe)
        if changed == campaign:
            return campaign
        changed = replace(changed, changed_ms=now_ms)
        _write(pipe, campaign, changed)
        return changed

    return watched(client, [keys.campaign(campaign_id)], write)


def watched(client: redis.Redis, names: list[str], write: Callable[[Any], T]) -> T:
    """Let `write` read from a pipeline that watches keys, and write after `multi`; again when they change meanwhile."""
    pipe: Any
    with client.pipeline(transaction=True) as pipe:
        while True:
            try:
                pipe.watch(*names)
                answer = write(pipe)
                replies = pipe.execute(raise_on_error=False)
            except redis.WatchError:
                continue
            # By hand: the client's own way puts the command, a stranger's text, into the error.
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
            return answer


def _watched_read(pipe: Any, campaign_id: str) -> Campaign:
    found = _read(pipe, campaign_id)
    if found is None:
        raise _unknown(campaign_id)
    return found


def _unknown(campaign_id: str) -> UnknownCampaign:
    return UnknownCampaign(
        f"there is no campaign {campaign_id[:40]!r}: it never was, or its time is over; see `headway campaign list` "
        "(over HTTP GET /v1/campaigns)"
    )


def _write(pipe: Any, before: Campaign, after: Campaign) -> None:
    old, new = _to_hash(before), _to_hash(after)
    changed = {name: value for name, value in new.items() if old[name] != value}
    if changed:
        pipe.hset(keys.campaign(after.id), mapping=changed)
        pipe.expire(keys.campaign(after.id), after.ttl_s)


def _audit(pipe: Any, made: Campaign) -> None:
    """Add that the campaign was made to the number's list of changes."""
    entry = {"at_ms": made.at_ms, "by": made.by, "from": made.where, "field": "campaign", "before": ""}
    entry |= {"after": f"{made.id} {made.name}", "rows": made.rows, "reason": made.reason}
    told = {name: value for name, value in entry.items() if name != "reason" or value}
    pipe.lpush(keys.changes(made.number), json.dumps(told, ensure_ascii=False))
    pipe.ltrim(keys.changes(made.number), 0, _CHANGES - 1)


def _fingerprint(number: str, name: str, digest: str) -> str:
    return hashlib.sha256(f"{number}\n{name}\n{digest}".encode()).hexdigest()[:32]


def _read(client: Any, campaign_id: str) -> Campaign | None:
    if not _ID.match(campaign_id):
        return None
    return _of_hash(campaign_id, client.hgetall(keys.campaign(campaign_id)))


def _to_hash(campaign: Campaign) -> dict[str, str | int]:
    stored: dict[str, str | int] = {
        name: getattr(campaign, name) for name in Campaign.__slots__ if name not in {"id", "recipe", "whole", "state"}
    }
    return {
        **stored,
        "recipe": json.dumps(campaign.recipe),
        "whole": int(campaign.whole),
        "state": campaign.state.value,
    }


def _of_hash(campaign_id: str, stored: Mapping[bytes, bytes]) -> Campaign | None:
    found: dict[str, Any] = {_str(name): _str(value) for name, value in stored.items()}
    if "state" not in found:
        return None
    for name in _WHOLE_NUMBERS & found.keys():
        found[name] = int(found[name])
    found |= {"recipe": json.loads(found["recipe"]), "whole": found["whole"] == "1", "state": State(found["state"])}
    return Campaign(id=campaign_id, **{name: value for name, value in found.items() if name in Campaign.__slots__})


def _now_ms(pipe: Any) -> int:
    seconds, micros = pipe.time()
    return int(seconds) * 1000 + int(micros) // 1000


def _str(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
