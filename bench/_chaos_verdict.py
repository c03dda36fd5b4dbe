"""What came of the messages, by the simulator's record? Pure: what was accepted, what arrived, what records say."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

#: Classes whose uncertain messages are sent again (HEADWAY_UNCERTAIN's default).
RESENT = frozenset({"urgent", "high"})

#: Between begin and the first byte at the provider, or its answer and the settle: so much before and after a kill.
SLACK_US = 100_000

#: What the state machine may end in.
ENDS = frozenset({"sent", "delivered", "read", "failed", "expired", "dead", "uncertain"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that is known of one message: its class, when it arrived (us), its record's state and history."""

    class_: str
    arrived_us: Sequence[int]
    state: str = ""
    history: str = ""

    @property
    def uncertain(self) -> int:
        """How often it was declared uncertain."""
        told = self.history.count('"state":"uncertain"')
        return max(told, int(self.state == "uncertain"))


@dataclass(slots=True)
class Tally:
    """One side's run in figures; each list holds ids."""

    accepted: int = 0
    arrived: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    resent: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    held_unseen: list[str] = field(default_factory=list)
    uncertain: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    under_way: int = 0
    strangers: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    unfinished: list[str] = field(default_factory=list)


def tally(stories: Mapping[str, Story], *, strangers: Iterable[str], kills_us: Sequence[int], latency_us: int) -> Tally:
    """Count.

    lost: accepted, never at the provider, and nothing says so. doubled: there more than once without a declaration for
    each further time, or of a class that is held. resent: more than once, as declared. uncertain: ever declared;
    `unseen` of these were never at the provider. under_way: rows whose request was open when something was killed.
    """
    found = Tally(accepted=len(stories), strangers=sorted(strangers))
    for message_id, story in stories.items():
        times = len(story.arrived_us)
        found.arrived += bool(times)
        found.states[story.state] += 1
        if story.state not in ENDS:
            found.unfinished.append(message_id)
        if not times and story.state not in {"uncertain", "dead", "expired"}:
            found.lost.append(message_id)
        if times > 1:
            excused = times - 1 <= story.uncertain and story.class_ in RESENT
            (found.resent if excused else found.doubled).append(message_id)
        if story.uncertain:
            found.uncertain.append(message_id)
            if not times:
                found.unseen.append(message_id)
        if story.state == "uncertain":
            found.held.append(message_id)
            if not times:
                found.held_unseen.append(message_id)
    arrivals = (at for story in stories.values() for at in story.arrived_us)
    found.under_way = sum(_under_way(at, sorted(kills_us), latency_us) for at in arrivals)
    return found


def _under_way(arrived_us: int, kills_us: Sequence[int], latency_us: int) -> bool:
    """Was something killed while this row's request was open?"""
    after = bisect_right(kills_us, arrived_us + latency_us + SLACK_US)
    return after > bisect_right(kills_us, arrived_us - SLACK_US)


def problems(found: Tally, *, left: Sequence[str], leaks: Sequence[str], wanted: int) -> list[str]:
    """Name what Headway must not have done; `left`: what the state machine holds at the end and shouldn't."""
    said = []
    if found.accepted != wanted:
        said.append(f"{found.accepted} of {wanted} messages were accepted")
    for name, ids in (("lost", found.lost), ("doubled undeclared", found.doubled), ("unfinished", found.unfinished)):
        if ids:
            said.append(f"{len(ids)} {name}: {', '.join(sorted(ids)[:5])}")
    if found.strangers:
        said.append(f"{len(found.strangers)} arrived that nobody had an answer for: {', '.join(found.strangers[:5])}")
    if len(found.uncertain) > found.under_way:
        said.append(f"{len(found.uncertain)} uncertain, {found.under_way} requests were open at a kill")
    return [*said, *left, *leaks]


def lines(side: str, found: Tally) -> list[str]:
    """Say what came of one side, for people."""
    say = [f"{side}: {found.accepted:,} accepted, {found.arrived:,} arrived"]
    say.append(f"  lost {len(found.lost):,}, doubled {len(found.doubled):,}")
    if side == "headway":
        say.append(
            f"  declared uncertain {len(found.uncertain):,} (of rows under way at a kill: {found.under_way:,}); resent "
            f"and there twice {len(found.resent):,}; held for a person {len(found.held):,}, of these never at the "
            f"provider {len(found.held_unseen):,}; uncertain and never there {len(found.unseen):,}"
        )
        say.append("  states: " + ", ".join(f"{state or 'no record'} {n:,}" for state, n in found.states.most_common()))
    return say
