"""How are the peers filled, started and counted? Stock Celery, and BullMQ, which the benches install themselves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator

import redis
from celery import Celery

from bench._ground import ROOT, TEXT, celery_worker

_BENCH = ROOT / "bench"
_SCRIPT = str(_BENCH / "_bullmq.mjs")
_INSTALL = ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")

#: Counted up by each worker of a peer that is ready.
READY = "bench:ready"


def peers_ready(client: redis.Redis) -> int:
    """How many workers of a peer are."""
    return int(client.get(READY) or 0)


def stock_worker(*arguments: str) -> list[str]:
    """The command of a stock Celery worker; bench/_stock.py says what its environment holds."""
    return celery_worker("bench._stock", "-Q", "stock", *arguments)


def fill_stock(client: redis.Redis, count: int, *, task: str = "stock.noop") -> Iterator[int]:
    """Put ready-made envelopes on the queue: publishing isn't what is measured."""
    for start in range(0, count, 500):
        end = min(count, start + 500)
        with client.pipeline(transaction=False) as pipe:
            for index in range(start, end):
                pipe.lpush("stock", _envelope(task, index))
            pipe.execute()
        yield end


def _envelope(task: str, index: int) -> str:
    task_id = str(uuid.uuid4())
    return json.dumps(
        {
            "body": json.dumps([[], {"to": f"39333{index:07d}", "text": TEXT}, {}]),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"lang": "py", "task": task, "id": task_id, "root_id": task_id, "ignore_result": True},
            "properties": {
                "correlation_id": task_id,
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": "stock"},
                "priority": 0,
                "body_encoding": "utf-8",
                "delivery_tag": task_id,
            },
        }
    )


def fill_celery(client: redis.Redis, count: int) -> Iterator[int]:
    """Put what `apply_async` itself writes on the queue: one real envelope, again and again with ids of its own."""
    kwargs = {"to": "393330000000", "text": TEXT}
    with Celery("publisher", broker=f"redis://127.0.0.1:{_port(client)}/0") as app:
        task_id = app.send_task("stock.noop", kwargs=kwargs, queue="stock", ignore_result=True).id
    written = client.lindex("stock", 0)
    envelope = written.decode() if isinstance(written, bytes) else str(written)
    client.delete("stock")
    tag = json.loads(envelope)["properties"]["delivery_tag"]
    for start in range(0, count, 500):
        end = min(count, start + 500)
        own = [envelope.replace(task_id, str(uuid.uuid4())).replace(tag, str(uuid.uuid4())) for _ in range(start, end)]
        client.lpush("stock", *own)
        yield end


def left_of_stock(client: redis.Redis) -> int:
    """How many messages stock Celery has not acknowledged."""
    return int(client.llen("stock")) + int(client.hlen("unacked"))


def install_bullmq() -> None:
    """Put the pinned BullMQ into bench/node_modules when it isn't there. Exits with a sentence when that can't be."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        sys.exit(f"bench: the peer BullMQ can't run: no {' and '.join(missing)} on PATH; install Node.js 20 or newer")
    wanted = json.loads((_BENCH / "package.json").read_text(encoding="utf-8"))["dependencies"]
    if all(_installed(name) == version for name, version in wanted.items()):
        return
    print(f"installing BullMQ {wanted['bullmq']} into bench/node_modules", flush=True)
    done = subprocess.run(_INSTALL, cwd=_BENCH, capture_output=True, text=True, check=False)
    if done.returncode or any(_installed(name) != version for name, version in wanted.items()):
        sys.exit(f"bench: the peer BullMQ can't run: `{' '.join(_INSTALL)}` in bench/ failed:\n{done.stderr[-2000:]}")


def _installed(name: str) -> str | None:
    package = _BENCH / "node_modules" / name / "package.json"
    return str(json.loads(package.read_text(encoding="utf-8"))["version"]) if package.is_file() else None


def fill_bullmq(client: redis.Redis, count: int) -> Iterator[int]:
    """Add that many jobs to BullMQ's queue, a thousand a call."""
    add_to_bullmq(client, count)
    yield count


def add_to_bullmq(client: redis.Redis, count: int) -> float:
    """Add that many jobs to BullMQ's queue, a thousand a call; return how many seconds it took, by its own clock."""
    added = subprocess.run(
        ["node", _SCRIPT, "add", "--port", _port(client), "--count", str(count), "--text", TEXT],
        capture_output=True,
        text=True,
        check=False,
    )
    if added.returncode:
        sys.exit(f"bench: the peer BullMQ can't run: its jobs could not be added:\n{added.stderr[-2000:]}")
    return float(added.stdout)


def bullmq_worker(client: redis.Redis, *arguments: str) -> list[str]:
    """The command of one BullMQ worker with a hundred jobs at a time."""
    return ["node", _SCRIPT, "work", "--port", _port(client), "--concurrency", "100", *arguments]


def left_of_bullmq(client: redis.Redis) -> int:
    """How many jobs are not done. Exits when one has failed: then its rate would mean nothing."""
    if failed := client.zcard("bull:bench:failed"):
        sys.exit(f"bench: the peer BullMQ can't run: {failed} of its jobs failed")
    return int(client.llen("bull:bench:wait")) + int(client.llen("bull:bench:active"))


def _port(client: redis.Redis) -> str:
    return str(client.connection_pool.connection_kwargs["port"])
