"""Does a number keep up with its people? Headway in front of a WhatsApp number in software, by the number's own record.

The whole way: pushes over HTTP, a real worker, receipts and inbound messages (a tenth of TPS, and two bursts) through
the webhooks, a minute each at 10 and 20 TPS, more bulk waiting than may leave. Wanted at each: no inbound message lost,
no send but the floor's let go into a second known to be full, the container never more than 1.5 s of work behind, at
least 90 % of the possible sends made, nothing doubled. The peer is a limiter that counts only what it sends, before the
same number with the same people, in simulated time. Exits 1 when a bound breaks, and says so when the machine was too
busy to tell.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench._ground import ROOT

HEAD = (
    "| TPS | side | inbound lost | behind, most | p99 | seconds over TPS | into a full second | by the floor "
    "| sends, of the possible | urgent wait p50, p99 |"
)
MOST_BEHIND_S, LEAST_SHARE = 1.5, 0.90


def measure(tps: int, seconds: int) -> dict[str, Any]:
    """Live through a minute and return both verdicts."""
    with tempfile.TemporaryDirectory() as directory:
        into = Path(directory) / "verdict.json"
        command = [
            sys.executable,
            "-m",
            "examples.run",
            "--tps",
            str(tps),
            "--seconds",
            str(seconds),
            "--json",
            str(into),
        ]
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if not into.exists():
            sys.exit(f"bench: the run ended with {done.returncode}:\n{done.stdout[-3000:]}")
        found: dict[str, Any] = json.loads(into.read_text())
        return found


def broken(found: dict[str, Any]) -> list[str]:
    """Return the bounds that were broken."""
    verdict = found["headway"]
    share = verdict["possible"]["share"] or 0.0
    problems = list(found["broken"])
    # What the floor lets go may find it full: that is what a floor is.
    beyond = verdict["into_full"] - found["by_floor"]
    if beyond > 0:
        problems.append(f"{beyond} sends beyond the floor's were let go into a second known to be full")
    if verdict["behind_max_s"] > MOST_BEHIND_S:
        problems.append(f"the container was {verdict['behind_max_s']:.2f} s behind")
    if share < LEAST_SHARE:
        problems.append(f"{share:.1%} of the possible sends were made")
    return problems


def row(tps: int, side: str, verdict: dict[str, Any], by_floor: int, urgent: str) -> str:
    lost = f"{verdict['inbound_lost']} of {verdict['arrived'].get('inbound', 0)}"
    behind = f"{verdict['behind_max_s']:.2f} s | {verdict['behind_p99_s']:.2f} s"
    share = verdict["possible"]["share"]
    made = "?" if share is None else f"{share:.0%}"
    cells = [str(tps), side, lost, behind, f"{verdict['over_share']:.0%}"]
    cells += [str(verdict["into_full"]), str(by_floor), made, urgent]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tps", default="10,20", help="TPS of the number (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=60, help="of each run (default %(default)s)")
    options = parser.parse_args()
    lines, problems = [], []
    for tps in (int(text) for text in options.tps.split(",")):
        print(f"{tps} TPS: living through {options.seconds} s …", flush=True)
        found = measure(tps, options.seconds)
        p50, p99 = found["urgent_wait_s"]
        lines.append(row(tps, "Headway", found["headway"], found["by_floor"], f"{p50:.2f} s, {p99:.2f} s"))
        lines.append(row(tps, "plain limiter", found["plain_limiter"], 0, "no classes"))
        if found["unsound"]:
            print(found["unsound"])
        else:
            problems += [f"{tps} TPS: {problem}" for problem in broken(found)]
    print(HEAD)
    print("| --- " * 10 + "|")
    print("\n".join(lines))
    if problems:
        sys.exit("bench: " + "; ".join(problems))


if __name__ == "__main__":
    main()
