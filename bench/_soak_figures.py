"""Did memory grow from lap to lap? Pure: sizes in, what grew out."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

MB = 1024 * 1024

#: What must not grow, and by how much it may move: a share, or so many bytes, whichever is more.
JUDGED = ("server", "worker", "gateway")
SHARE, LEAST = 0.05, 4 * MB

#: Keys of the number itself that come with its first laps.
KEYS_MORE = 3


def soaked(laps: Sequence[Mapping[str, int]]) -> list[str]:
    """Return what grew. The first lap warms everything up; then the later half is compared with the earlier.

    Each lap: bytes by name, and `keys`: how many have no time to live.
    """
    warm = laps[1:]
    if len(warm) < 2:
        return ["at least three laps are needed to see what grows"]
    half = len(warm) // 2
    said = []
    for name in warm[0].keys() & set(JUDGED):
        before = statistics.median(lap[name] for lap in warm[:half])
        after = statistics.median(lap[name] for lap in warm[-half:])
        if grown(after - before, max(SHARE * before, LEAST)):
            said.append(f"{name} grew from {before / MB:.1f} to {after / MB:.1f} MB")
    if warm[-1]["keys"] > warm[0]["keys"] + KEYS_MORE:
        said.append(f"keys without a time to live grew from {warm[0]['keys']} to {warm[-1]['keys']}")
    return said


def grown(more: float, may: float) -> bool:
    """Is that more than it may be?"""
    return more > may
