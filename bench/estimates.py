"""How near do estimates come to when messages really leave?

Minutes of a number in seconds: the simulator's container on a virtual clock, Headway's real Lua scripts on a throwaway
server that is told that clock's time. Each situation has a backlog and messages that come in at random, in several
classes; each of these is estimated at the moment it is pushed, by the very call that a push over HTTP makes. Counted is
who left within 10 % or 2 s of the estimate; wanted are 95 % in each situation, else the bench exits 1.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import redis

from bench._budget_conditions import Scene
from bench._budget_headway import EPOCH_US, HOLDER, NUMBER, Headway, running
from delivery import settle
from delivery.states import State
from headway import Message, MessageClass, keys, publish
from headway.client import push_script
from runtime import scripts
from runtime import variables as v
from scheduler import estimate, leases
from scheduler.decisions import Grant, Refuse
from simulator.timeline import Answer, run

US = 1_000_000
WANTED = 0.95
NEAR_SHARE, NEAR_S = 0.10, 2.0
#: Until a number's receipts and inbound messages are known; then comes the backlog. Looked at is what comes after it.
WARM_S = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is pushed: rows of each class at the start, and rows a second that come in later, at random."""

    at_first: dict[str, int] = field(default_factory=dict)
    comes: dict[str, float] = field(default_factory=dict)

    def pushes(self, seconds: int, seed: int) -> list[tuple[int, str]]:
        """Return when which class gets a row, in order."""
        chance, found = random.Random(seed), []
        for class_, rows in self.at_first.items():
            found += [(WARM_S * US, class_)] * rows
        for class_, rate in self.comes.items():
            at = chance.expovariate(rate)
            while at < seconds:
                found.append((round(at * US), class_))
                at += chance.expovariate(rate)
        return sorted(found)


@dataclass(slots=True)
class Probe:
    """A message that was estimated: when it was pushed, when it should leave, and when it did."""

    class_: str
    pushed_us: int
    said_us: int
    left_us: int = -1

    @property
    def waited_s(self) -> float:
        """How long it waited."""
        return (self.left_us - self.pushed_us) / US

    @property
    def off_s(self) -> float:
        """How much later than it left the estimate was."""
        return (self.said_us - self.left_us) / US

    @property
    def near(self) -> bool:
        """Whether the estimate was good."""
        return abs(self.off_s) <= max(NEAR_S, NEAR_SHARE * self.waited_s)


class Estimated(Headway):
    """A worker, a gateway and apps in one: pushes rows as their time comes, and estimates them."""

    def __init__(self, client: redis.Redis, scene: Scene, load: Load) -> None:
        super().__init__(client, scene, float(v.CALM.default))
        for room, name in (("scheduler", "estimate"), ("headway", "push")):
            client.script_load(scripts.load(room, name).source)
        self._rules = replace(self._rules, shares=v.SHARES.read(v.SHARES.default))
        client.hset(keys.declared(NUMBER), mapping={"bench": "", "lowest": self._rules.tps_milli})
        self._pushes = load.pushes(scene.seconds, scene.seed)
        self._next = 0
        self.probes: dict[str, Probe] = {}

    def ask(self, now_us: int, row: int) -> Answer:  # noqa: ARG002  rows leave by class here, not in their order
        """Push what has come, lease, begin and settle what may leave now."""
        self._take_in(now_us)
        come_us = self._pushes[self._next][0] if self._next < len(self._pushes) else now_us + US
        lease_id = f"lease-{next(self._ids)}"
        found = leases.decision(self._run(leases.lease(self._rules, lease_id, HOLDER, now_us=EPOCH_US + now_us)))
        if isinstance(found, Grant):
            for leased in found.rows:
                self.probes[leased.id].left_us = now_us
            self._end(found, lease_id, EPOCH_US + now_us)
            return Answer(len(found.rows), now_us)
        if isinstance(found, Refuse):
            raise TypeError(f"the scheduler refuses: {found.because}")
        return Answer(0, min(come_us, found.until_us - EPOCH_US if found.until_us else come_us))

    def _take_in(self, now_us: int) -> None:
        while self._next < len(self._pushes) and self._pushes[self._next][0] <= now_us:
            at_us, name = self._pushes[self._next]
            same = self._next
            while same < len(self._pushes) and self._pushes[same] == (at_us, name):
                same += 1
            self._push_rows(now_us, MessageClass(name), range(self._next, same))
            self._next = same

    def _push_rows(self, now_us: int, class_: MessageClass, rows: range) -> None:
        for start in range(rows.start, rows.stop, publish.CHUNK):
            part = range(start, min(rows.stop, start + publish.CHUNK))
            messages = [Message(to=f"39333{row:07d}", text="Hello", class_=class_) for row in part]
            ids = [f"row-{row}" for row in part]
            for names, args in publish.calls(NUMBER, messages, ids, record_ttl_s=600):
                self._client.eval(push_script(), len(names), *names, *args)
        figures = estimate.figures(self._run(estimate.ask(self._rules, class_, now_us=EPOCH_US + now_us)), NUMBER)
        for row in rows:
            said = estimate.of_row(figures, class_, behind=rows.stop - 1 - row).at_us
            self.probes[f"row-{row}"] = Probe(class_.value, now_us, (said or 0) - EPOCH_US)

    def _end(self, grant: Grant, lease_id: str, now: int) -> None:
        outcomes = [settle.Settlement(row.id, State.SENT) for row in grant.rows]
        self._pending += [
            leases.begin(self._rules, lease_id, HOLDER, "token", now_us=now),
            settle.settle(NUMBER, lease_id, outcomes, record_ttl_s=600, now_us=now),
        ]


def situations(seconds: int, seed: int = 7) -> Iterator[tuple[str, Scene, Load]]:
    """Yield name, number and load. Loads are about what the number can send, so that there is a queue all the while."""
    plain = Scene(receipts="none", seconds=seconds, seed=seed)
    full = replace(plain, receipts="both", inbound="steady")
    for tps in (10, 80):
        k = tps / 10
        bulk = Load(at_first={"bulk": round(300 * k)}, comes={"bulk": 9 * k})
        yield f"{tps} TPS, bulk, no receipts", replace(plain, tps=tps), bulk
        low = Load(at_first={"bulk": round(200 * k)}, comes={"bulk": 3.4 * k})
        yield f"{tps} TPS, bulk, receipts", replace(full, tps=tps, inbound="none"), low
        yield f"{tps} TPS, bulk, receipts and inbound", replace(full, tps=tps), low
        mixed = Load(
            at_first={"normal": round(200 * k), "bulk": round(200 * k)},
            comes={"urgent": k, "high": k, "normal": 4 * k, "bulk": 3 * k},
        )
        yield f"{tps} TPS, four classes, no receipts", replace(plain, tps=tps), mixed
        less = Load(
            at_first={"normal": round(100 * k), "bulk": round(100 * k)},
            comes={"urgent": 0.4 * k, "high": 0.3 * k, "normal": 1.5 * k, "bulk": k},
        )
        yield f"{tps} TPS, four classes, receipts and inbound", replace(full, tps=tps), less
    yield "10 TPS, 90 requests a minute", replace(full, batch=90), Load(at_first={"bulk": 200}, comes={"bulk": 3})


def line(name: str, probes: Sequence[Probe]) -> str:
    near = sum(probe.near for probe in probes) / max(1, len(probes))
    off = [abs(probe.off_s) for probe in probes] or [0.0]
    mean = statistics.fmean(probe.off_s for probe in probes) if probes else 0.0
    waited = statistics.median(probe.waited_s for probe in probes) if probes else 0.0
    return (
        f"| {name} | {len(probes):,} | {waited:.1f} | {statistics.median(off):.2f} | {mean:+.2f} | {max(off):.1f} "
        f"| {near:.1%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seconds", type=int, default=300, help="of each situation, after the first (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=7, help="of people and apps (default %(default)s)")
    parser.add_argument("--only", default="", help="situations whose name has this in it")
    parser.add_argument("--classes", action="store_true", help="a line for each class, too")
    options = parser.parse_args()
    missed = []
    print("| situation | messages | waited, median s | off, median s | mean | most | within 10 % or 2 s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with running() as headway:
        for name, scene, load in situations(WARM_S + options.seconds, options.seed):
            if options.only not in name:
                continue
            client = headway(scene, 0.0)._client  # noqa: SLF001  the bench's own server
            sender = Estimated(client, scene, load)
            run(scene.container(), sender, scene.way(), until_us=scene.until_us)
            probes = [one for one in sender.probes.values() if one.left_us >= 0 and one.pushed_us > WARM_S * US]
            print(line(name, probes), flush=True)
            for class_ in MessageClass if options.classes else ():
                print(line(f"… {class_.value}", [probe for probe in probes if probe.class_ == class_.value]))
            if not probes or sum(probe.near for probe in probes) < WANTED * len(probes):
                missed.append(name)
    if missed:
        sys.exit(f"bench: estimates are off in: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
