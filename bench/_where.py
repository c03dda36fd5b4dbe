"""Where does the time of a drained message go? CPU of worker and server from /proc, the scripts' share from SLOWLOG."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import redis

from runtime.scripts import load

SCRIPTS = {
    load(room, name).sha: name
    for room, name in (("scheduler", "lease"), ("scheduler", "begin"), ("delivery", "settle"))
}
#: What is logged: scripts of many rows, but hardly a command inside one, whose logging would cost more than itself.
SLOW_US = 100
_TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


class Watch:
    """What a worker and its server have used since the watch was made. `worker` and its children count together."""

    def __init__(self, client: redis.Redis, worker: int) -> None:
        self._client = client
        self._worker = worker
        self._server = int(client.info("server")["process_id"])
        client.config_set("slowlog-log-slower-than", SLOW_US)
        client.config_set("slowlog-max-len", 100_000)
        client.slowlog_reset()
        self._before = self._used()

    def lines(self, messages: int) -> list[str]:
        """Return what was used, in microseconds a message."""
        worker, server = (now - then for now, then in zip(self._used(), self._before, strict=True))
        found = [f"  worker, CPU: {worker / messages:6.1f} us a message", f"  server, CPU: {server / messages:6.1f} us"]
        spent: dict[str, list[int]] = defaultdict(list)
        for entry in self._client.slowlog_get(100_000):
            words = entry["command"].split()
            if words[0] == b"EVALSHA":
                spent[SCRIPTS.get(words[1].decode(), "other scripts")].append(int(entry["duration"]))
        self._client.config_set("slowlog-log-slower-than", 10_000)
        for name, times in sorted(spent.items(), key=lambda item: -sum(item[1])):
            found.append(f"    {name:14} {sum(times) / messages:6.1f} us, {len(times):,} calls")
        return found

    def _used(self) -> tuple[float, float]:
        return sum(map(_cpu_us, _family(self._worker))), _cpu_us(self._server)


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def _cpu_us(pid: int) -> float:
    """All threads, user and system (proc(5): fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_US
