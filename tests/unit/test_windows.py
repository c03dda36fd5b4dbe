"""Are expiry, quiet hours, caps and the loop guard read as a person writes them, or refused with what to write?"""

from __future__ import annotations

import pytest

from runtime import windows
from runtime.windows import Cap, LoopGuard, QuietHours


def test_what_a_person_writes_is_read() -> None:
    """Spaces don't matter; a class left out has none."""
    assert windows.expiries("urgent=300, bulk=86400.5") == {"urgent": 300_000, "bulk": 86_400_500}
    assert windows.quiet_hours("bulk=21:00-08:00,normal=12:30-14:00") == {
        "bulk": QuietHours(21 * 60, 8 * 60),
        "normal": QuietHours(12 * 60 + 30, 14 * 60),
    }
    assert windows.caps("tag:offline=1/3600:drop,class:bulk=2/86400:defer") == (
        Cap("tag", "offline", 1, 3_600_000, "drop"),
        Cap("class", "bulk", 2, 86_400_000, "defer"),
    )
    assert windows.caps("tag:a:b=3/60:defer")[0].name == "a:b"
    assert windows.loop_guard("5/60") == LoopGuard(5, 60_000)
    assert windows.loop_guard("off") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("300", "says nothing"), ("urgent", "says nothing"), ("urgnt=300", "did you mean urgent"),
        ("urgent=-5", "no number of seconds"), ("urgent=0", "out of bounds"), ("urgent=5m", "no number of seconds"),
        ("urgent=2592001", "out of bounds"), ("bulk=1,bulk=2", "bulk is given twice"), ("", "empty item"),
    ],
)  # fmt: skip
def test_no_expiry(text: str, words: str) -> None:
    """Negative, nothing, another unit, a class that there isn't."""
    with pytest.raises(ValueError, match=words):
        windows.expiries(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bulk", "says nothing"), ("bulk=21-8", "are no hours"), ("bulk=24:00-08:00", "are no hours"),
        ("bulk=21:60-08:00", "are no hours"), ("bulk=08:00-08:00", "the whole day"),
        ("bulk=21:00-08:00@Europe/Nowhere", "are no hours"), ("urgent=21:00-08:00", "urgent has no such thing"),
        ("slow=21:00-08:00", "is no class"),
    ],
)  # fmt: skip
def test_no_quiet_hours(text: str, words: str) -> None:
    """Hours that there aren't, an empty span, a time zone of one's own, and urgent, which has none."""
    with pytest.raises(ValueError, match=words):
        windows.quiet_hours(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("offline=1/3600:drop", "is no cap"), ("tag:offline=1:drop", "is no cap"), ("tag:offline=1/3600", "is no cap"),
        ("tag:offline=0/3600:drop", "out of bounds"), ("tag:offline=1/0:drop", "out of bounds"),
        ("tag:offline=-1/60:drop", "no number of messages"), ("tag:offline=1/60:stop", "is unknown"),
        ("to:1=1/60:drop", "can't be capped"), ("class:slow=1/60:drop", "is no class"), ("tag:=1/60:drop", "is no tag"),
        ("tag:a b=1/60:drop", "is no tag"), (",".join(f"tag:t{n}=1/60:drop" for n in range(9)), "has 9 caps"),
    ],
)  # fmt: skip
def test_no_cap(text: str, words: str) -> None:
    """No kind, no window, a window of zero length, nothing to do."""
    with pytest.raises(ValueError, match=words):
        windows.caps(text)


@pytest.mark.parametrize("text", ["5", "5/", "/60", "0/60", "5/0", "on", "5/60:drop"])
def test_no_guard(text: str) -> None:
    """Two numbers, both above zero, or off."""
    with pytest.raises(ValueError):
        windows.loop_guard(text)
