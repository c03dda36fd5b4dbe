"""What are the parts of the bench of many numbers? `bench/pool.py` says what they measure."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence

from bench._pool_figures import (
    Idle,
    Rate,
    Waits,
    busy_problems,
    flat_problems,
    growth_problems,
    idle_problems,
    waits,
)
from bench._pool_house import TPS, House, house, numbers_of
from bench._pool_peer import peer_busy, peer_idle
from headway import Client, Message
from scheduler import control

COUNTS = (1, 10, 100, 1000, 5000)
#: Until declarations and first looks are done.
SETTLE_IN_S = 4.0
BACKLOG = 50_000


def cpu_beside(running: House, seconds: float) -> float:
    """CPU seconds of workers and server in so much time without anything to do."""
    before = sum(running.cpu_s())
    time.sleep(seconds)
    return sum(running.cpu_s()) - before


def probed(what: str, running: House, numbers: Sequence[str], options: argparse.Namespace) -> Waits:
    """Push single messages to these numbers; what the pool uses all the time counts as theirs, too."""
    before = sum(running.cpu_s())
    # Few enough that none waits for its number's own TPS.
    a_second = min(options.probes, len(numbers) * TPS * 0.3)
    found = running.probes(numbers, a_second=a_second, seconds=options.seconds)
    done = waits(what, len(running.numbers), found, cpu_s=sum(running.cpu_s()) - before)
    print(f"  {what}: p50 {done.p50_ms:.1f} ms, p99 {done.p99_ms:.1f} ms, {done.cpu_ms:.2f} ms of CPU each", flush=True)
    return done


def flat(options: argparse.Namespace) -> list[str]:
    """Look at one message among more and more numbers; the idle pool's own CPU is taken off."""
    found = []
    for count in options.numbers:
        with house(count) as running:
            time.sleep(SETTLE_IN_S)
            idle_s = cpu_beside(running, options.seconds)
            one = probed(f"1 message among {count:,} numbers", running, running.numbers, options)
            own = one.cpu_ms - idle_s * 1000 / one.count
            print(f"  of it {own:.2f} ms are the message's own", flush=True)
            found.append(
                Waits(what=one.what, numbers=count, count=one.count, p50_ms=one.p50_ms, p99_ms=one.p99_ms, cpu_ms=own)
            )
    return flat_problems(found)


def sparse(options: argparse.Namespace) -> list[str]:
    """Look at sparse numbers alone, then beside three in trouble."""
    saturated, paused, failing, *others = numbers_of(options.many)
    with house(options.many, failing=failing) as running:
        time.sleep(SETTLE_IN_S)
        alone = probed("sparse numbers alone", running, others, options)
        control.pause(running.client, paused, by="bench")
        running.fill(saturated, BACKLOG)
        one = probed(f"beside one with {BACKLOG:,} waiting", running, others, options)
        running.fill(paused, 2000)
        running.fill(failing, 2000)
        all_ = probed("beside that, one paused and one refused", running, others, options)
    return [*growth_problems(alone, one), *growth_problems(alone, all_)]


def busy(options: argparse.Namespace) -> list[str]:
    """Fill all numbers, and count what leaves."""
    each = round(TPS * (options.seconds + SETTLE_IN_S + 6))
    with house(options.many) as running:
        to_headway = Client(running.client)
        for number in running.numbers:
            to_headway.push_many(number, [Message(to=f"39333{index:07d}", text="x" * 120) for index in range(each)])
        time.sleep(SETTLE_IN_S)
        began_us, (workers_s, server_s) = time.time_ns() // 1000, running.cpu_s()
        time.sleep(options.seconds)
        ended_us, (workers_after_s, server_after_s) = time.time_ns() // 1000, running.cpu_s()
        seconds = (ended_us - began_us) / 1e6
        left = sum(began_us <= note.at_us < ended_us for note in running.noted())
    found = Rate(
        side="headway", numbers=options.many, possible=options.many * TPS, reached=left / seconds,
        workers=(workers_after_s - workers_s) / seconds, server=(server_after_s - server_s) / seconds,
    )  # fmt: skip
    say_rate(found)
    return busy_problems(found)


def idle(options: argparse.Namespace) -> list[str]:
    """Let the pool do nothing, over two of its declarations."""
    with house(options.many) as running:
        time.sleep(SETTLE_IN_S)
        before = running.each_cpu_s()
        time.sleep(20)
        server_s, *workers_s = (after - was for after, was in zip(running.each_cpu_s(), before, strict=True))
    found = Idle(
        side="headway", numbers=options.many, workers=tuple(one / 20 for one in workers_s), server=server_s / 20
    )
    say_idle(found)
    return idle_problems(found)


def peer(options: argparse.Namespace) -> list[str]:
    """Measure BullMQ; it decides nothing."""
    say_rate(peer_busy(options.many, TPS, options.seconds))
    say_idle(peer_idle(options.many))
    return []


def say_rate(found: Rate) -> None:
    print(
        f"  {found.side}: {found.reached:,.0f} of {found.possible:,.0f} a second; cores: workers {found.workers:.2f}, "
        f"server {found.server:.2f}",
        flush=True,
    )


def say_idle(found: Idle) -> None:
    workers = ", ".join(f"{share:.2%}" for share in found.workers)
    print(f"  {found.side}, idle: of a core each worker {workers}, the server {found.server:.2%}", flush=True)


PARTS: dict[str, Callable[[argparse.Namespace], list[str]]] = {
    "flat": flat, "sparse": sparse, "busy": busy, "idle": idle, "peer": peer,
}  # fmt: skip


def main(about: str) -> None:
    """Run the parts that are asked for. `about`: what the bench says of itself."""
    options = arguments(about)
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > cores / 2:
        print(f"others use this machine (load {load:.1f} on {cores} cores): times mean little", flush=True)
    problems = []
    for part in options.parts:
        print(part, flush=True)
        problems += PARTS[part](options)
    if problems:
        sys.exit("bench: " + "\nbench: ".join(problems))
    print("every bound kept")


def arguments(about: str, args: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=tuple(PARTS), help="these alone")
    parser.add_argument("--numbers", nargs="+", type=int, default=COUNTS, help="of the flat part")
    parser.add_argument("--many", type=int, default=1000, help="numbers of the other parts (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="measured of each (default %(default)g)")
    parser.add_argument("--probes", type=float, default=40.0, help="single messages a second (default %(default)g)")
    return parser.parse_args(args)
