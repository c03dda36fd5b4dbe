"""Who shares a limit, and how? Each side's workers and how its queue is filled; the Python peers' own venv.

All sides have 4 worker processes (or as many as are asked for), and those of Python 8 threads each.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import redis

from bench._ground import NUMBER, ROOT, TEXT, celery_worker, fill_headway, headways_ready
from bench._meter_notes import VARIABLE
from bench._peers import bullmq_worker, fill_bullmq, fill_stock, peers_ready

#: Beside the packages that Headway needs: in the checkout's own .venv, so that nothing else looks there.
PEERS_VENV = ROOT / ".venv" / "peers"
PEERS_PYTHON = str(PEERS_VENV / "bin" / "python")
#: The peers, and under them the same Celery and Redis client as ours.
WANTED = {"limits": "5.8.0", "throttled-py": "3.5.0", "dramatiq": "2.2.1"}
SHARED = ("celery", "redis", "hiredis")
THREADS = "8"


@dataclass(frozen=True, slots=True)
class Place:
    """What a side runs on: a server, where it notes, how many a second it may run, in how many processes."""

    client: redis.Redis
    url: str
    notes: Path
    rate: int
    processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side: the commands that start all its workers, their environment, how many are ready, how it is filled."""

    commands: Callable[[Place], list[list[str]]]
    environ: Callable[[Place], dict[str, str]]
    ready: Callable[[redis.Redis], int]
    fill: Callable[[redis.Redis, int], Iterator[int]]
    #: A peer is killed soon after: what it holds in memory is of no use to anybody.
    grace_s: float = 3.0


def _headway(place: Place) -> list[list[str]]:
    return [celery_worker("bench._meter_noop", "-P", "threads", "-c", THREADS)] * place.processes


def _headway_environ(place: Place) -> dict[str, str]:
    return {
        VARIABLE: str(place.notes),
        "HEADWAY_REDIS_URL": place.url,
        "HEADWAY_NUMBERS": NUMBER,
        "HEADWAY_TPS": str(place.rate),
        # Sends alone: no receipt will come, and no quota of requests binds before the rate does.
        "HEADWAY_RECEIPTS": "none",
        "HEADWAY_PUSH_PER_MINUTE": "1000000",
        "HEADWAY_LOG": "json",
    }


def _celery(place: Place) -> list[list[str]]:
    own = celery_worker("bench._meter_tasks", "-Q", "stock", "-P", "threads", "-c", THREADS)
    return [[PEERS_PYTHON, *own[1:]]] * place.processes


def _peer_environ(place: Place, *, limiter: str = "") -> dict[str, str]:
    return {
        VARIABLE: str(place.notes),
        "BENCH_BROKER": place.url,
        "BENCH_RATE": str(place.rate),
        "BENCH_WORKERS": str(place.processes),
        "BENCH_LIMITER": limiter,
    }


def _dramatiq(place: Place) -> list[list[str]]:
    own = ["bench._meter_dramatiq", "--processes", str(place.processes), "--threads", THREADS, "--skip-logging"]
    return [[PEERS_PYTHON, "-m", "dramatiq", *own]]


def _bullmq(place: Place) -> list[list[str]]:
    return [bullmq_worker(place.client, "--rate", str(place.rate), "--notes", str(place.notes))] * place.processes


def fill_dramatiq(client: redis.Redis, count: int) -> Iterator[int]:
    """Put ready-made messages where dramatiq's own script puts them: an id on the list, the message in the hash."""
    for start in range(0, count, 500):
        end = min(count, start + 500)
        messages: dict[Any, Any] = dict(_dramatiq_message(index) for index in range(start, end))
        with client.pipeline(transaction=False) as pipe:
            pipe.hset("dramatiq:default.msgs", mapping=messages)
            pipe.rpush("dramatiq:default", *messages)
            pipe.execute()
        yield end


def _dramatiq_message(index: int) -> tuple[str, str]:
    own = str(uuid.uuid4())
    message = {
        "queue_name": "default",
        "actor_name": "run",
        "args": [],
        "kwargs": {"to": f"39333{index:07d}", "text": TEXT},
        "options": {"redis_message_id": own},
        "message_id": own,
        "message_timestamp": 0,
    }
    return own, json.dumps(message)


def _in_celery(limiter: str) -> Side:
    return Side(
        commands=_celery,
        environ=partial(_peer_environ, limiter=limiter),
        ready=peers_ready,
        fill=partial(fill_stock, task="meter.run"),
    )


SIDES = {
    "headway": Side(commands=_headway, environ=_headway_environ, ready=headways_ready, fill=fill_headway, grace_s=20.0),
    "bullmq": Side(commands=_bullmq, environ=_peer_environ, ready=peers_ready, fill=fill_bullmq),
    "celery rate_limit": _in_celery("rate_limit"),
    "celery + limits": _in_celery("limits"),
    "celery + throttled": _in_celery("throttled"),
    "dramatiq window": Side(commands=_dramatiq, environ=_peer_environ, ready=peers_ready, fill=fill_dramatiq),
}


def install_peers() -> None:
    """Put the pinned Python peers into their venv when they aren't there. Exits with a sentence when that can't be."""
    wanted = {**WANTED, **{name: metadata.version(name) for name in SHARED}}
    if _installed() >= set(wanted.items()):
        return
    print(f"installing {', '.join(f'{name} {version}' for name, version in WANTED.items())} for the peers", flush=True)
    pinned = [f"{name}=={version}" for name, version in wanted.items()]
    _or_exit([sys.executable, "-m", "venv", "--clear", str(PEERS_VENV)])
    _or_exit([PEERS_PYTHON, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *pinned])


def _installed() -> set[tuple[str, str]]:
    folders = [str(path) for path in PEERS_VENV.glob("lib/*/site-packages")]
    return {(found.name, found.version) for found in metadata.distributions(path=folders)} if folders else set()


def _or_exit(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"bench: the Python peers can't run: `{' '.join(command)}` failed:\n{done.stderr[-2000:]}")
