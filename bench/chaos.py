"""Is anything lost or sent twice while workers, gateways and server are killed? By the simulated numbers' own record.

Messages are pushed through two gateways and by `headway.Client` while two prefork workers and one with threads send
them, and all of these are killed with SIGKILL at random: a child of a pool, a worker's main process alone, a worker
with its pool, a gateway; the server, with its append-only file, is stopped or killed and comes back. Each is started
again at once. The same seed chooses the same kills. Wanted, else the bench exits 1:
  - each accepted message arrived, or its record says that nobody knows (uncertain); none arrived that nobody accepted,
  - none arrived twice but those declared uncertain whose class is sent again by policy,
  - no more are uncertain than rows were under way when something was killed, by the simulator's record,
  - at the end no lease, no lane, no undeclared key and no orphan of a pool is left; nobody ended who wasn't killed.
Beside it, under the same kills and the same seed: stock Celery on its stock Redis transport, acknowledged late; it
decides nothing. The short run takes about four minutes, `--full` (10,000 messages, 1,000 kills)
about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench._chaos_house import House
from bench._chaos_kills import Kill, plan
from bench._chaos_sides import SIDES, Side
from bench._chaos_verdict import lines

SAY_S = 15.0


def live_through(house: House, kills: Sequence[Kill], *, messages: int, upto: Callable[[int], None]) -> None:
    """Kill as planned, and let messages come in as the kills go on."""
    began_s = said_s = due_s = time.monotonic()
    for count, kill in enumerate(kills, start=1):
        due_s = max(due_s + kill.after_s, time.monotonic())
        while time.monotonic() < due_s:
            house.tend()
            time.sleep(0.02)
        tries_until_s = time.monotonic() + 5
        while not house.strike(kill) and time.monotonic() < tries_until_s:
            house.tend()
            time.sleep(0.02)
        upto(min(messages, messages * count // max(1, int(len(kills) * 0.95))))
        if time.monotonic() - said_s > SAY_S:
            said_s = time.monotonic()
            print(f"    {count:,} of {len(kills):,} kills after {said_s - began_s:.0f} s: {house.struck}", flush=True)
    upto(messages)


def run(name: str, options: argparse.Namespace) -> list[str]:
    """Live through it with one side; return what it must not have done."""
    kills = plan(options.kills, every_s=options.every, seed=options.seed)
    print(
        f"{name}: {options.messages:,} messages, {options.kills:,} kills of workers, seed {options.seed} …", flush=True
    )
    with tempfile.TemporaryDirectory() as directory:
        side: Side
        with SIDES[name](Path(directory) / name, options) as side:
            side.house.tend()
            side.house.wait_until_ready()
            side.start()
            live_through(side.house, kills, messages=options.messages, upto=side.upto)
            print(f"    all kills are done: {side.house.struck}; draining …", flush=True)
            side.drain()
            found, said = side.verdict()
            remarks = [f"  {remark}" for remark in side.remarks()]
        print(*lines(name, found), *remarks, sep="\n", flush=True)
        return said


def main() -> None:
    options = arguments()
    broken: list[str] = []
    for name in options.only:
        said = run(name, options)
        for problem in said:
            print(f"  {problem}", flush=True)
        broken += said if name == "headway" else []
    if broken:
        sys.exit("bench: " + "\nbench: ".join(broken))


def arguments(args: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=2_000, help="messages (default %(default)s)")
    parser.add_argument(
        "--kills", type=int, default=200, help="kills of workers and pool children (default %(default)s)"
    )
    parser.add_argument("--full", action="store_true", help="10,000 messages and 1,000 kills")
    parser.add_argument("--every", type=float, default=0.4, help="seconds between two kills, on average")
    parser.add_argument("--seed", type=int, default=1, help="chooses the kills (default %(default)s)")
    parser.add_argument(
        "--latency-ms", type=int, default=150, help="how long the provider thinks (default %(default)s)"
    )
    parser.add_argument("--fsync", choices=("always", "everysec"), default="always",
                        help="the server's appendfsync; with everysec a kill may lose a moment")  # fmt: skip
    parser.add_argument("--only", nargs="+", choices=SIDES, default=tuple(SIDES), help="these sides alone")
    parser.add_argument("--keep", type=Path, help="keep the logs of workers and gateways in this folder")
    options = parser.parse_args(args)
    if options.full:
        options.messages, options.kills = 10_000, 1_000
    return options


if __name__ == "__main__":
    main()
