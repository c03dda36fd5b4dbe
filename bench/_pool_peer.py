"""What does BullMQ do with many numbers? A queue, a worker and a limiter for each, in two processes."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import redis

from bench._ground import ROOT, process, server, wait_until_ready
from bench._meter_cpu import cpu_s
from bench._peers import install_bullmq, peers_ready
from bench._pool_figures import Idle, Rate

SCRIPT = str(ROOT / "bench" / "_bullmq_pool.mjs")
PROCESSES, SETTLE_IN_S = 2, 4.0


@dataclass(frozen=True, slots=True)
class _Peer:
    client: redis.Redis
    server_pid: int
    workers: list[int]

    def ran(self) -> int:
        return sum(int(self.client.get(key) or 0) for key in self.client.scan_iter("bench:ran:*"))

    def cpu_s(self) -> tuple[float, float]:
        return cpu_s(self.workers), cpu_s([self.server_pid])


@contextmanager
def _running(numbers: int, rate: int, *, each: int) -> Iterator[_Peer]:
    install_bullmq()
    with ExitStack() as stack:
        running = stack.enter_context(server(maxclients="10000"))
        client = running.client()
        port = str(client.connection_pool.connection_kwargs["port"])
        if each:
            add = ["node", SCRIPT, "add", "--port", port, "--queues", str(numbers), "--each", str(each)]
            done = subprocess.run(add, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"bench: the peer BullMQ can't run: its jobs could not be added:\n{done.stderr[-2000:]}")
        bounds = [numbers * index // PROCESSES for index in range(PROCESSES + 1)]
        commands = [
            ["node", SCRIPT, "work", "--port", port, "--from", str(first), "--to", str(last), "--rate", str(rate)]
            for first, last in itertools.pairwise(bounds)
        ]
        workers = [stack.enter_context(process("a worker of BullMQ", one, grace_s=3)).pid for one in commands]
        wait_until_ready("bullmq", peers_ready, client, PROCESSES)
        yield _Peer(client, running.pid or 0, workers)


def peer_busy(numbers: int, rate: int, seconds: float) -> Rate:
    """Let all queues be full, and count what runs."""
    with _running(numbers, rate, each=round(rate * (seconds + SETTLE_IN_S + 6))) as peer:
        time.sleep(SETTLE_IN_S)
        before, (workers_s, server_s), began = peer.ran(), peer.cpu_s(), time.monotonic()
        time.sleep(seconds)
        ran, (workers_after_s, server_after_s) = peer.ran() - before, peer.cpu_s()
        took = time.monotonic() - began
    return Rate(
        side="bullmq", numbers=numbers, possible=numbers * rate, reached=ran / took,
        workers=(workers_after_s - workers_s) / took, server=(server_after_s - server_s) / took,
    )  # fmt: skip


def peer_idle(numbers: int) -> Idle:
    """Let all queues be empty."""
    with _running(numbers, 10, each=0) as peer:
        time.sleep(SETTLE_IN_S)
        before, server_s = [cpu_s([pid]) for pid in peer.workers], cpu_s([peer.server_pid])
        time.sleep(20)
        workers = tuple((cpu_s([pid]) - was) / 20 for pid, was in zip(peer.workers, before, strict=True))
        return Idle(side="bullmq", numbers=numbers, workers=workers, server=(cpu_s([peer.server_pid]) - server_s) / 20)
