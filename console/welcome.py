"""What does a person need to know once everything runs: where it is, the token, a line to try?"""

from __future__ import annotations

import contextlib
import secrets
import shlex
from pathlib import Path
from typing import Final

from runtime.embedded_files import write_private
from runtime.settings import Settings

#: More numbers than this are counted, not named.
_NAMED: Final = 5
#: A number that can't exist (555-01xx is kept for fiction).
_RECIPIENT: Final = "12025550101"


def api_token(home: Path) -> str:
    """Return the token of this home, made on first use, readable by this user alone."""
    return _kept(token_file(home))


def webhook_key(home: Path) -> str:
    """Return what providers must give as `?key=`: made on first use too."""
    return _kept(webhook_key_file(home))


def webhook_key_file(home: Path) -> Path:
    """Return where the webhook key of a home is kept."""
    return home / "webhook-key"


def no_key_given(settings: Settings) -> bool:
    """Whether a number has no webhook key, and nobody said that it needs none."""
    numbers = map(settings.number, settings.numbers)
    return any(not own.webhook_keys and not own.webhooks_open for own in numbers)


def _kept(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        if kept := path.read_text(encoding="utf-8").strip():
            return kept
    write_private(path, secrets.token_urlsafe(24))
    return path.read_text(encoding="utf-8")  # not what was just made: somebody else may have done the same


def token_file(home: Path) -> Path:
    """Return where the token of a home is kept."""
    return home / "api-token"


def welcome(settings: Settings, url: str) -> str:
    """Return the lines; `url` is the gateway's."""
    numbers = [settings.number(number) for number in settings.numbers]
    named = ", ".join(f"{own.number} ({own.tps_milli / 1000:g} TPS)" for own in numbers)
    first = numbers[0]
    generated = not settings.api_tokens
    path = str(token_file(settings.home))
    token = f"$(cat {shlex.quote(path)})" if generated else "${HEADWAY_API_TOKENS%%,*}"
    key = f"$(cat {shlex.quote(str(webhook_key_file(settings.home)))})" if no_key_given(settings) else "…"
    lines = {
        "numbers": named if len(numbers) <= _NAMED else f"{len(numbers)} of HEADWAY_NUMBERS",
        "provider": ", ".join(first.provider_urls)
        + ("" if first.provider_token else "  (HEADWAY_PROVIDER_TOKEN is not set)"),
        "webhooks": f"{url}/webhooks/picky/{first.number}" + ("" if first.webhooks_open else f"?key={key}"),
        "API token": path if generated else "HEADWAY_API_TOKENS",
        "try": _try(url, first.number, token=token),
    }
    told = "\n".join(f"  {name:<10} {text}" for name, text in lines.items())
    return f"\nHeadway is up on {url} (Ctrl-C ends it)\n{told}\n"


def _try(url: str, number: str, *, token: str) -> str:
    """Return a line for a shell that pushes one message; `token` is what the shell makes the token of."""
    rest = f'"application": "{number}", "data": [{{"number": "{_RECIPIENT}", "message": "Hello"}}]'
    return f"""curl {url}/api/v2/push -d '{{"token": "'"{token}"'", {rest}}}'"""
