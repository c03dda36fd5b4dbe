"""Which server does a URL name?

One reader of `redis://`, `rediss://`, `sentinel://` and `sentinel+tls://`, for the settings' check and for connections
alike.

A Sentinel group is a list, each part with its scheme, as kombu wants it:
`sentinel://host:26379;sentinel://other:26379/0?master_name=main`. User, password and database are those of the Redis
behind it and stand in any one part. `sentinel+tls://` speaks TLS with the Sentinels and with the Redis behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from runtime.secret import NONE, Secret

_PORTS: Final = {"redis": 6379, "rediss": 6379, "sentinel": 26379, "sentinel+tls": 26379}
_OF_SENTINELS: Final = frozenset({"sentinel", "sentinel+tls"})
_WITH_TLS: Final = frozenset({"rediss", "sentinel+tls"})
#: Kombu writes the names of Python's ssl module, redis-py its own: one URL has to serve both.
_CERT_REQS: Final = {
    "CERT_NONE": "none",
    "CERT_OPTIONAL": "optional",
    "CERT_REQUIRED": "required",
    "none": "none",
    "optional": "optional",
    "required": "required",
}
_SSL_OPTIONS: Final = frozenset({"ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile"})
_TRUE: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True)
class Address:
    """A server or a Sentinel group."""

    scheme: str
    #: One (host, port), or one per Sentinel.
    hosts: tuple[tuple[str, int], ...]
    db: int = 0
    username: str = ""
    password: Secret = NONE
    #: The name under which the Sentinels know the group; empty without Sentinel.
    master_name: str = ""
    #: redis-py's ssl_* arguments, `rediss://` and `sentinel+tls://` only.
    ssl: tuple[tuple[str, str | bool], ...] = ()

    @property
    def is_sentinels(self) -> bool:
        """Whether the hosts are Sentinels, who know where the server is."""
        return self.scheme in _OF_SENTINELS

    @property
    def has_tls(self) -> bool:
        """Whether every connection is encrypted."""
        return self.scheme in _WITH_TLS

    @property
    def shown(self) -> str:
        """The address as it may be logged: no user, no password."""
        return f"{self.scheme}://{','.join(f'{host}:{port}' for host, port in self.hosts)}/{self.db}"


def parse(url: str) -> Address:
    """Read a URL. Raises ValueError, whose text says what to write instead and never repeats the URL (passwords)."""
    parts = [_split(part) for part in url.split(";")]
    scheme = parts[0].scheme
    if any(part.scheme != scheme for part in parts):
        raise ValueError("give every server of the list the same scheme, as in sentinel://a:26379;sentinel://b:26379")
    if len(parts) > 1 and scheme not in _OF_SENTINELS:
        raise ValueError("only sentinel:// and sentinel+tls:// take a list of servers; give one server")
    options = _options(parts, scheme)
    return Address(
        scheme=scheme,
        hosts=tuple(_host(part) for part in parts),
        db=_database(parts, options.pop("db", "")),
        username=_first(unquote(part.username or "") for part in parts),
        password=Secret(_first(unquote(part.password or "") for part in parts)),
        master_name=_master_name(options.pop("master_name", ""), scheme),
        ssl=tuple((name, _ssl_value(name, value)) for name, value in options.items()),
    )


def _split(part: str) -> SplitResult:
    try:
        split = urlsplit(part.strip())
    except ValueError as error:
        raise ValueError("is no URL; write redis://:password@host:6379/0") from error
    if split.scheme not in _PORTS:
        raise ValueError("must start with redis://, rediss:// (TLS), sentinel:// or sentinel+tls://")
    return split


def _host(part: SplitResult) -> tuple[str, int]:
    try:
        port = part.port
    except ValueError as error:
        raise ValueError("the port must be a number from 1 to 65535 (and a / in a password is written %2F)") from error
    if not part.hostname:
        raise ValueError("names no host; write redis://:password@host:6379/0")
    if port == 0:
        raise ValueError("the port must be a number from 1 to 65535")
    return part.hostname, port or _PORTS[part.scheme]


def _options(parts: list[SplitResult], scheme: str) -> dict[str, str]:
    if any(part.fragment for part in parts):
        raise ValueError("has a # in it; in a password it is written %23")
    options = dict(pair for part in parts for pair in parse_qsl(part.query, keep_blank_values=True))
    allowed = {"db"} | (_SSL_OPTIONS if scheme in _WITH_TLS else set())
    allowed |= {"master_name"} if scheme in _OF_SENTINELS else set()
    for name in options:
        if name not in allowed:
            # redis-py would take any argument from here, time-outs and decoding included, and break our promises.
            raise ValueError(f"the option {name!r} isn't known here; {scheme}:// takes {', '.join(sorted(allowed))}")
    return options


def _database(parts: list[SplitResult], option: str) -> int:
    text = option or _first(part.path.strip("/") for part in parts) or "0"
    if not (text.isascii() and text.isdigit()):
        raise ValueError("the part after the host is the database's number, as in redis://host:6379/0")
    return int(text)


def _master_name(name: str, scheme: str) -> str:
    if scheme in _OF_SENTINELS and not name:
        raise ValueError("say which group the Sentinels watch: …/0?master_name=<name>")
    return name


def _ssl_value(name: str, value: str) -> str | bool:
    tables: dict[str, Mapping[str, str | bool]] = {"ssl_cert_reqs": _CERT_REQS, "ssl_check_hostname": _TRUE}
    table = tables.get(name)
    if table is None:
        return value
    if value not in table:
        raise ValueError(f"{name} must be one of {', '.join(table)}")
    return table[value]


def _first(texts: Iterable[str]) -> str:
    return next((text for text in texts if text), "")
