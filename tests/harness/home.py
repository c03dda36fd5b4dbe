"""Where does a gateway under test keep its files? Never in the checkout, where a developer's own may lie."""

from __future__ import annotations

import atexit
import tempfile


def throwaway_home() -> str:
    """Return a new HEADWAY_HOME; it goes with the test run."""
    home = tempfile.TemporaryDirectory(prefix="headway-home-", ignore_cleanup_errors=True)
    atexit.register(home.cleanup)
    return home.name
