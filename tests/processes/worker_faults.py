"""Where shall a worker stand still, so that a test can kill it there? Loaded by `celery worker -I`, in tests only.

FAULT_POINT names the point and FAULT_DIR a folder. The first process that comes to the point writes its id into the
file of that name and stands still until the file `go` is there; whoever comes later passes.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from worker.courier import Courier
from worker.engine import Engine
from worker.transport import LeaseChannelMixin

Wanted = Callable[[Any, Any], bool]


def reach(point: str) -> None:
    """Stand still here, if this is the point and nobody stood here before."""
    if os.environ.get("FAULT_POINT") != point:
        return
    folder = Path(os.environ["FAULT_DIR"])
    mine = folder / f"{point}.{os.getpid()}"
    mine.write_text(str(os.getpid()))
    try:
        os.link(mine, folder / point)
    except FileExistsError:
        return
    while not (folder / "go").exists():
        time.sleep(0.02)


def _around(owner: type, name: str, *, before: str = "", after: str = "", when: Wanted) -> None:
    """Stand still before or after a method, when its instance and first argument, or its result, are of interest."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        if before and when(self, args):
            reach(before)
        result = original(self, *args, **kwargs)
        if after and when(self, args or [result]):
            reach(after)
        return result

    setattr(owner, name, wrapped)


def _has_work(_: Any, args: Any) -> bool:
    return bool(args[0])


# The call is made up, nothing is sent.
_around(Engine, "questions", after="before_lease", when=_has_work)
# The server has leased; its answer lies in the socket.
_around(LeaseChannelMixin, "_brpop_read", before="in_socket", when=lambda channel, _: bool(channel._asked))
_around(Courier, "_begin", before="after_lease", after="after_begin", when=_has_work)
_around(Courier, "_settle", before="before_settle", after="after_settle", when=_has_work)
