"""What does Headway make of a number's TPS, beside plain limiters and beside somebody who knows the future?

An hour of a number in seconds: the simulator's container on a virtual clock, Headway's real Lua scripts on a throwaway
server that is told that clock's time. First a sweep over TPS, receipts, inbound messages and groups; then, for some
situations, the whole curve of sends against seconds over TPS, by the share of TPS that is left free. Judged on seeds
and delays that nothing was tuned on. Exits 1 when a bound is missed. `--plot` draws docs/budget-*.svg (`pip install
--group bench`).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from bench import _budget_checks as checks
from bench._budget_conditions import JUDGING_BEHAVIOURS, JUDGING_SEEDS, Scene, Situations, judging, sweep, tuning
from bench._budget_curves import Curves, all_curves
from bench._budget_headway import running
from bench._budget_measures import MakeSender
from bench._budget_sweep import summary
from bench._budget_sweep import sweep as run_sweep
from runtime.variables import HEADROOM

DOCS = Path(__file__).resolve().parent.parent / "docs"


@dataclass(frozen=True, slots=True)
class Size:
    """How long the scenes are: events of a sweep's scene, seconds of a situation, and how many seeds."""

    events: int
    seconds: int
    seeds: int
    behaviours: tuple[str, ...]

    @property
    def tolerance(self) -> float:
        """What chance makes of a difference between two curves: 4 points in 180 s, less with the root of the time."""
        return 0.04 * math.sqrt(180 / (self.seconds * self.seeds))


QUICK = Size(events=1_000, seconds=180, seeds=1, behaviours=("gamma",))
FULL = Size(events=10_000, seconds=600, seeds=3, behaviours=("gamma", "two-humped"))


def swept(size: Size, headway: MakeSender) -> list[checks.Check]:
    """Run the sweep and check it."""
    scenes = list(sweep(JUDGING_BEHAVIOURS["gamma"], seed=JUDGING_SEEDS[0], events=size.events))
    print(f"\n## Sweep: {len(scenes)} scenes, headroom {HEADROOM.default} for Headway and window + debt\n", flush=True)
    cells = run_sweep(scenes, headway, float(HEADROOM.default), say=_say)
    print(f"\n## All of the sweep\n\n{summary(cells)}", flush=True)
    return checks.of_sweep(cells)


def curved(
    title: str, situations: Situations, size: Size, headway: MakeSender
) -> tuple[list[Curves], list[checks.Check]]:
    """Draw the curves of all situations and check them."""
    print(f"\n## Curves: {title}, {size.seconds} s, {size.seeds} seed(s)\n", flush=True)
    by_seed: list[list[Scene]] = [list(situations.scenes(seed)) for seed in situations.seeds[: size.seeds]]
    found = all_curves(list(zip(*by_seed, strict=True)), headway, say=_say)
    return found, checks.of_curves(found, tolerance=size.tolerance)


def main() -> None:
    options = _options()
    size = FULL if options.full else QUICK
    size = replace(
        size,
        seconds=options.seconds or size.seconds,
        seeds=options.seeds or size.seeds,
        behaviours=tuple(options.delays or size.behaviours),
    )
    began, results, drawn = time.monotonic(), [], {}
    with running() as headway:
        if options.only != "curves":
            results += swept(size, headway)
        if options.only != "sweep":
            for name in ("tuning",) if options.tuning else size.behaviours:
                situations = tuning(size.seconds) if options.tuning else judging(name, size.seconds)
                drawn[name], more = curved(name, situations, size, headway)
                results += more
    print(f"\n## To reach ({time.monotonic() - began:.0f} s)\n")
    print("\n".join(check.told() for check in results))
    if options.json:
        told = {name: [both.told() for both in found] for name, found in drawn.items()}
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    if options.plot:
        _plot(drawn)
    if not all(check.held for check in results):
        sys.exit("bench: not everything was reached")


def _plot(drawn: dict[str, list[Curves]]) -> None:
    try:
        from bench._budget_plot import draw  # noqa: PLC0415  matplotlib is wanted only here
    except ModuleNotFoundError as missing:
        sys.exit(f"bench: {missing.name} is missing: .venv/bin/python -m pip install --group bench")
    for name, found in drawn.items():
        for measure in ("over", "behind"):
            path = DOCS / f"budget-{name}-{measure}.svg"
            draw(found, path, delays=name, measure=measure)
            print(f"drawn: {path.name}")


def _say(text: str) -> None:
    print(text, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="longer scenes, more seeds and delays: up to an hour")
    parser.add_argument("--only", choices=("sweep", "curves"), help="one of the two parts")
    parser.add_argument("--tuning", action="store_true", help="curves of the tuning set instead of the judging set")
    parser.add_argument("--seconds", type=int, help="of a situation of the curves")
    parser.add_argument("--seeds", type=int, choices=range(1, 4), help="of each situation")
    parser.add_argument("--delays", nargs="+", choices=sorted(JUDGING_BEHAVIOURS), help="judged on for the curves")
    parser.add_argument("--plot", action="store_true", help="draw the curves into docs/budget-*.svg")
    parser.add_argument("--json", type=Path, help="write the curves' points to a file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
