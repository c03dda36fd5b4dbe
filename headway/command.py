"""What does the `headway` command do when only the client is installed?

The wheel carries what an app imports and nothing else; the processes run from a checkout or the image. An editable
install of a checkout finds the console beside this package, an app's own environment doesn't: there it says so.
"""

from __future__ import annotations

import importlib
import sys

#: sysexits has no better fit: the command line asked for something that isn't here, as with a wrong option.
EXIT_NOT_HERE = 2

CLIENT_ONLY = (
    "headway: this environment holds the client only; the processes (worker, gateway, console, simulator) run from a "
    "checkout of the project, after `make setup`, as `.venv/bin/headway`, or from its image."
)


def main() -> None:
    """Run the console's command line.

    Raises:
        SystemExit: with `EXIT_NOT_HERE` when the console isn't installed, else with the console's own status.

    """
    try:
        # By name and late: `headway` imports no other room, and the wheel doesn't carry this one.
        console = importlib.import_module("console.main")
    except ModuleNotFoundError as missing:
        if missing.name not in {"console", "console.main"}:
            raise
        sys.stderr.write(f"{CLIENT_ONLY}\n")
        raise SystemExit(EXIT_NOT_HERE) from None
    raise SystemExit(console.main())
