"""How do a campaign's messages get onto their lanes, each exactly once, whatever breaks in between?

Chunk by chunk: the messages of one go in one step that only holds while nobody cancels the campaign, and then it is
noted how far it is. Each message has an id that follows from the campaign's and its place in the file, so a chunk that
was pushed and not noted is pushed again and nothing comes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import redis

from campaigns import store, suppression
from campaigns.plan import Plan, Planned, plan
from campaigns.problems import CampaignConflict, CampaignError, require_text
from campaigns.recipe import Recipe
from campaigns.store import Campaign, State, Who
from campaigns.tables import Limits, Table
from headway import publish
from headway.errors import BrokerUnavailable, NumberDrained
from runtime import scripts

#: Messages of one step.
CHUNK: Final = 500

#: Is told how many of the file's messages have been worked through.
Say = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a person asks for: this table, by this recipe, from this number. `name` tells campaigns of a file apart.

    Raises CampaignError for names that can't be kept.
    """

    table: Table
    recipe: Recipe
    number: str
    name: str
    who: Who

    def __post_init__(self) -> None:
        require_text("name", self.name, longest=100, least=1)
        self.who.check()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The campaign, and what its file makes. `repeated`: all of it was on its lanes before; nothing was done."""

    campaign: Campaign
    plan: Plan
    repeated: bool = False


def preview(client: redis.Redis, order: Order, *, limits: Limits) -> tuple[Plan, int]:
    """Return what would be sent, and how many of it are suppressed. Raises as `plan` does."""
    made = plan(order.table, order.recipe, campaign=store.new_id(), limits=limits)
    return made, len(suppression.among(client, [recipient(row) for row in made.rows]))


def standing(client: redis.Redis, order: Order) -> tuple[Campaign | None, str]:
    """Return the campaign that this order would meet, and how the order contradicts it; empty: `send` takes it."""
    known = store.find(client, number=order.number, name=order.name, digest=order.table.digest)
    return known, "" if known is None else _conflict(known, order)


def send(
    client: redis.Redis, order: Order, *, limits: Limits, record_ttl_s: int, say: Say = lambda _count: None
) -> Outcome:
    """Send a campaign: the same order again goes on with what broke off, and never sends anything twice.

    Raises BadRows when a row is bad and the recipe leaves none out, CampaignError when the campaign can't be made, and
    BrokerUnavailable or NumberDrained: then it may be there in part, and the same order again goes on with it.
    """
    known = store.find(client, number=order.number, name=order.name, digest=order.table.digest)
    while True:
        # The file comes first: what is wrong in an option looks like another text of a campaign that is there.
        made = plan(order.table, order.recipe, campaign=known.id if known else store.new_id(), limits=limits)
        conflict = _conflict(known, order) if known is not None else ""
        if known is not None and known.whole and not conflict:
            return Outcome(known, made, repeated=True)
        if not order.recipe.skip_bad:
            made.require_good()
        if not made.rows:
            raise CampaignError(f"{made.file}: no row can be sent")
        if conflict:
            raise CampaignConflict(conflict)
        if known is not None:
            break
        new = _campaign(order, made, ttl_s=record_ttl_s + _longest_wait_s(client, made.rows))
        known = store.create(client, new)
        if known.id == new.id:
            break
    return Outcome(_load(client, known, made, record_ttl_s, say), made)


def resume(
    client: redis.Redis,
    campaign_id: str,
    table: Table,
    *,
    limits: Limits,
    record_ttl_s: int,
    say: Say = lambda _count: None,
) -> Outcome:
    """Go on with a campaign that broke off, with the same file; raises as `send` does."""
    campaign = store.read(client, campaign_id)
    if campaign.digest != table.digest:
        raise CampaignConflict(
            f"{table.file} isn't the file of campaign {campaign.id} ({campaign.file}): its bytes differ"
        )
    made = plan(table, Recipe.of(campaign.recipe), campaign=campaign.id, limits=limits)
    if campaign.whole:
        return Outcome(campaign, made, repeated=True)
    return Outcome(_load(client, campaign, made, record_ttl_s, say), made)


def recipient(row: Planned) -> str:
    """Return a row's recipient."""
    return row.message.to or ""


def _conflict(known: Campaign, order: Order) -> str:
    """Say how an order contradicts the campaign of its file and name; empty: it doesn't."""
    if known.state is State.CANCELLED:
        return f"campaign {known.id} of this file and name ({known.name}) was cancelled: give this one another name"
    if known.recipe != order.recipe.as_json():
        return (
            f"there is campaign {known.id} of this file and name ({known.name}) with another text or other settings: "
            "give this one another name"
        )
    return ""


def _campaign(order: Order, made: Plan, *, ttl_s: int) -> Campaign:
    return Campaign(
        id=made.rows[0].message.campaign or "",
        name=order.name,
        number=order.number,
        file=order.table.file,
        digest=order.table.digest,
        class_=order.recipe.class_.value,
        recipe=order.recipe.as_json(),
        records=made.records,
        rows=len(made.rows),
        bad=made.bad_rows,
        duplicates=len(made.duplicates),
        by=order.who.by,
        where=order.who.where,
        reason=order.who.reason,
        ttl_s=ttl_s,
    )


def _longest_wait_s(client: redis.Redis, rows: Sequence[Planned]) -> int:
    """Return how long the last message waits for its `send_at`: what is known of it must outlive that."""
    times = {row.message.send_at for row in rows if row.message.send_at is not None}
    now_s, _ = client.time()
    return max([0, *(int(datetime.fromisoformat(str(at)).timestamp()) - now_s for at in times)])


def _load(client: redis.Redis, campaign: Campaign, made: Plan, record_ttl_s: int, say: Say) -> Campaign:
    left = [row for row in made.rows if row.place > campaign.loaded]
    done = len(made.rows) - len(left)
    try:
        for start in range(0, len(left), CHUNK):
            say(done + start)
            chunk = left[start : start + CHUNK]
            unwanted = suppression.among(client, [recipient(row) for row in chunk])
            _push(client, campaign, [row for row in chunk if recipient(row) not in unwanted], record_ttl_s)
            campaign = _note(client, campaign.id, chunk[-1].place, suppressed=len(unwanted))
        say(len(made.rows))
        return store.update(client, campaign.id, lambda now, _pipe: _whole(now, made.records))
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise BrokerUnavailable(
            f"the server doesn't answer ({error}); campaign {campaign.id} goes on where it is with the same file and "
            "name, and no message will be twice"
        ) from error
    except redis.ResponseError as error:
        if why := publish.drained(error):
            raise NumberDrained(
                f"{campaign.number}: {why}; campaign {campaign.id} goes on with the same file and name when it does"
            ) from error
        raise BrokerUnavailable(
            f"the server refuses to write ({error}); campaign {campaign.id} goes on where it is with the same file and "
            "name, and no message will be twice"
        ) from error


def _push(client: redis.Redis, campaign: Campaign, rows: Sequence[Planned], record_ttl_s: int) -> None:
    """Put messages on their lanes, unless the campaign is cancelled. Raises CampaignError."""
    source = scripts.load("headway", "push").source
    ids = [store.message_id(campaign.id, row.place) for row in rows]
    calls = list(publish.calls(campaign.number, [row.message for row in rows], ids, record_ttl_s=record_ttl_s))

    def push(now: Campaign, pipe: Any) -> Campaign:
        _require_going_on(now)
        for names, args in calls:
            pipe.eval(source, len(names), *names, *args)
        return now

    store.update(client, campaign.id, push)


def _note(client: redis.Redis, campaign_id: str, place: int, *, suppressed: int) -> Campaign:
    """Note how far the campaign is, unless somebody who loads it too was faster."""

    def change(now: Campaign, _pipe: Any) -> Campaign:
        _require_going_on(now)
        if now.loaded >= place:
            return now
        return replace(now, loaded=place, suppressed=now.suppressed + suppressed)

    return store.update(client, campaign_id, change)


def _whole(now: Campaign, records: int) -> Campaign:
    _require_going_on(now)
    state = State.RUNNING if now.state is State.LOADING else now.state
    return replace(now, loaded=records, whole=True, state=state)


def _require_going_on(now: Campaign) -> None:
    if now.state is State.CANCELLED:
        raise CampaignConflict(f"campaign {now.id} was cancelled: what had not left by then never does")
