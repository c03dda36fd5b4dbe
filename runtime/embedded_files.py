"""How are the embedded server's files written? Whole or not at all, and readable by this user alone."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import Final

from runtime.secret import Secret

_LOG_LIMIT_BYTES: Final = 5_000_000


def read_password(path: Path) -> Secret:
    """Return the password that all servers of a home share; made on first use. The caller holds the start lock."""
    try:
        kept = path.read_text().strip()
    except FileNotFoundError:
        kept = ""
    if not kept:
        kept = secrets.token_urlsafe(32)
        write_private(path, kept)
    path.chmod(0o600)
    return Secret(kept)


def write_private(path: Path, text: str) -> None:
    """Put a text in place at once, readable by this user alone: a reader sees the old or the new, never a half."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def rotate(log: Path) -> None:
    """Start the log anew when it has grown long; the former one is kept beside it."""
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        shutil.move(log, log.with_suffix(".log.1"))


def quoted(path: Path) -> str:
    """Return a path as a value of the server's configuration file."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
