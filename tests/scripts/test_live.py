"""Do live values hold at the next lease, with who set them, and does one that can't be change nothing?"""

from __future__ import annotations

from importlib import resources
from typing import Any

import pytest
import redis as redis_py
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway import keys
from headway.errors import SettingError
from runtime.settings import NumberSettings, Settings
from scheduler import control, live
from scheduler.decisions import Because, Refuse
from scheduler.history import history
from tests.scripts.stage import NUMBER, Stage, everything

OWN: NumberSettings = Settings.from_env({}).number(NUMBER)

#: Reads the settings hash as every script does.
READ = """
local found, reply = live(KEYS[1]), {}
for name, value in pairs(found) do
  reply[#reply + 1] = name
  reply[#reply + 1] = tostring(value)
end
return reply
"""


def seen_by_scripts(redis: Any) -> dict[str, str]:
    """Return the live values as a script gets them."""
    include = (resources.files("scheduler") / "lua" / "include" / "live.lua").read_text()
    found = redis.eval(include + READ, 1, keys.settings(NUMBER))
    words = [part.decode() for part in found]
    return dict(zip(words[::2], words[1::2], strict=True))


def change(stage: Stage, *, by: str = "ada", where: str = "a test", **texts: str | None) -> int:
    """Check and write changes, as the doors do."""
    fields = control.checked(texts, own=OWN, live=control.read(stage.redis, NUMBER))
    return control.change(stage.redis, NUMBER, fields, by=by, where=where, now_us=stage.now_us)


def test_who_when_and_from_where_is_kept_for_each_value(stage: Stage) -> None:
    """A later change of another value says nothing about this one."""
    assert change(stage, tps="12.5", receipts="delivered") == 2
    stage.later(ms=1000)
    assert change(stage, by="bob", where="console", headroom="0.25") == 1
    found = control.read(stage.redis, NUMBER)
    assert {name: (value.shown, value.who.by, value.who.where) for name, value in found.values.items()} == {
        "tps": ("12.5", "ada", "a test"), "headroom": ("0.25", "bob", "console"),
        "receipts": ("delivered", "ada", "a test"),
    }  # fmt: skip
    assert found.values["headroom"].who.at_ms - found.values["tps"].who.at_ms == 1000
    assert (found.tps_milli, found.by, found.at_ms) == (12_500, "bob", stage.now_us // 1000)


def test_a_change_made_twice_is_one_change(stage: Stage) -> None:
    """A repeated call changes nothing, not even the history."""
    change(stage, tps="12", floor="0.2")
    before = everything(stage.redis)
    stage.later(ms=500)
    assert change(stage, tps="12", floor="0.2") == 0
    assert everything(stage.redis) == before
    assert change(stage, tps="12", by="bob") == 1


def test_the_history_keeps_the_last_hundred_changes(stage: Stage) -> None:
    """What was, what is, and None where the environment held; the newest first."""
    for tps in range(1, 121):
        change(stage, tps=str(tps))
    change(stage, tps=None)
    control.pause(stage.redis, NUMBER, by="bob", where="console")
    found = history(stage.redis, NUMBER)
    assert len(found) == 100
    assert (found[0].name, found[0].before, found[0].after, found[0].by) == ("paused", None, "yes", "bob")
    assert (found[1].name, found[1].before, found[1].after) == ("tps", "120", None)
    assert (found[-1].before, found[-1].after) == ("22", "23")


def test_clearing_gives_everything_back_to_the_environment(stage: Stage) -> None:
    """A pause too; the history stays."""
    change(stage, tps="12", in_flight="3", event_webhook="off")
    control.pause(stage.redis, NUMBER, by="bob")
    assert control.unset(stage.redis, NUMBER, by="ada") == 4
    assert seen_by_scripts(stage.redis) == {}
    assert control.read(stage.redis, NUMBER).over(OWN) == OWN
    assert len(history(stage.redis, NUMBER)) == 8


def test_a_change_rings_the_number_s_doorbell(stage: Stage) -> None:
    """Workers that sleep until a later permit ask again at once."""
    with stage.redis.pubsub() as channel:
        channel.subscribe(keys.doorbell(NUMBER))
        channel.get_message(timeout=1)
        change(stage, tps="12")
        assert channel.get_message(timeout=1)["data"] == NUMBER.encode()


def test_live_values_hold_at_the_next_lease_on_the_backlog_too(stage: Stage) -> None:
    """TPS, leases in flight, guard and headroom: the lease that comes next goes by them."""
    stage.push(*(f"m{i}" for i in range(40)), class_="urgent")
    change(stage, in_flight="1")
    stage.change(max_rows=2)
    assert len(stage.granted("one").rows) == 2
    assert stage.waits().because is Because.IN_FLIGHT
    change(stage, in_flight="1000", tps="15")
    stage.change(max_rows=100)
    assert len(stage.granted("two").rows) == 13
    wait = stage.waits()
    change(stage, guard="0.5")
    assert stage.waits().until_us == wait.until_us + 500_000
    control.pause(stage.redis, NUMBER, by="bob")
    assert isinstance(stage.lease(), Refuse)


def test_live_headroom_calm_and_floor_hold_at_the_next_lease(stage: Stage) -> None:
    """Whatever the environment says: headroom up to what comes in needs, calm, a floor where there was none."""
    stage.change(tps_milli=20_000, headroom_ppm=0, floor_ppm=0)
    stage.count(*(f"e{i}" for i in range(8)))
    stage.later(ms=1000)
    stage.push(*(f"b{i}" for i in range(80)), class_="bulk")
    change(stage, calm="0.4", floor="0")
    assert _in_a_second(stage) == 12
    change(stage, calm="0", headroom="0.4")
    assert _in_a_second(stage) == 18
    change(stage, headroom="0")
    assert _in_a_second(stage) == 20
    stage.count(*(f"f{i}" for i in range(100)))
    stage.push("u", class_="urgent")
    assert stage.waits().because is Because.WINDOW
    change(stage, floor="0.5")
    assert stage.ids() == ["u"]


def _in_a_second(stage: Stage) -> int:
    gone = 0
    for _ in range(20):
        gone += len(stage.drain())
        stage.later(ms=50)
    stage.later(ms=500)
    return gone


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tps": "0"}, "tps: 0 is out of bounds; write events a second from 0.001 to 10000000"),
        ({"tps": "-3"}, "tps: '-3' is no number of events a second"),
        ({"headroom": "1"}, "headroom: 1 is out of bounds"),
        ({"floor": "0.6"}, "floor: 0.6 is out of bounds; write TPS, as a share from 0 to 0.5"),
        ({"floor": "0.5", "headroom": "0.5"}, "floor: headroom 0.5 and floor 0.5: their sum must be less than 1"),
        ({"headroom": "0.9"}, "headroom: headroom 0.9 and floor 0.1"),
        ({"calm": "0.9"}, "calm: calm 0.9 and floor 0.1"),
        ({"receipts": "read"}, "receipts: 'read' can't be alone"),
        ({"receipts": "none", "event_webhook": "off"}, "receipts: off charges receipts that nobody tells us of"),
        ({"in_flight": "2.5"}, "in_flight: 2.5 is finer than can be kept"),
        ({"shards": "4"}, "shards: can't be changed while running: set HEADWAY_SHARDS (or HEADWAY_SHARDS_<number>)"),
        ({"home": "x"}, "home: can't be changed while running: set HEADWAY_HOME for every process"),
        ({"tsp": "4"}, "tsp: there is no such setting (did you mean tps?); there is tps, headroom, "),
    ],
)
def test_what_can_not_be_is_refused_and_changes_nothing(stage: Stage, changes: dict[str, str], words: str) -> None:
    """By the readers of the environment; the error names the setting, the value and what is allowed."""
    change(stage, tps="12")
    before = everything(stage.redis)
    with pytest.raises(SettingError) as caught:
        change(stage, **{"guard": "0.1", **changes})
    assert str(caught.value).startswith(words)
    assert everything(stage.redis) == before


@pytest.mark.parametrize("text", ["banana", "-5", "0", "1e9", "99999999999999", "010000", " 5", ""])
def test_a_value_written_by_hand_that_can_not_be_is_passed_over(stage: Stage, text: str) -> None:
    """The last good one that was set holds; without one, the environment's. Both readers say so."""
    stage.change_live(tps_milli=text)
    assert seen_by_scripts(stage.redis) == {}
    assert control.read(stage.redis, NUMBER).ignored == (control.Ignored("tps", text, None),)
    change(stage, tps="12.5")
    stage.change_live(tps_milli=text)
    assert seen_by_scripts(stage.redis) == {"tps_milli": "12500"}
    found = control.read(stage.redis, NUMBER)
    assert found.tps_milli == 12_500
    assert found.ignored == (control.Ignored("tps", text, "12.5"),)
    stage.push(*(f"m{i}" for i in range(40)), class_="urgent")
    assert len(stage.drain()) == 12


hand_written = st.one_of(
    st.integers(-10, 2_000_000).map(str),
    st.sampled_from(["10000000000", "10000000001", "900000", "900001", "500000", "500001", "1000", "1001", "0", "1"]),
    st.sampled_from(["on", "off", "none", "delivered", "read", "delivered,read", "read,delivered", "ON", "yes", ""]),
    st.text(max_size=5),
    st.sampled_from([" 1", "1 ", "+1", "01", "1.0", "1e3", "0x10", "\u0661", "1_0", "nan", "inf"]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hash_=st.dictionaries(
        st.sampled_from([*live.BY_FIELD, *(f"{field}.set" for field in live.BY_FIELD)]), hand_written
    ),
    goods=st.dictionaries(st.sampled_from([*live.BY_FIELD]), hand_written),
)
def test_scripts_and_doors_read_one_hash_alike(
    redis: redis_py.Redis, hash_: dict[str, str], goods: dict[str, str]
) -> None:
    """Whatever stands in it, and however it came there."""
    redis.flushdb()
    for field, text in goods.items():
        control.change(redis, NUMBER, {field: text}, by="ada")
    if hash_:
        redis.hset(keys.settings(NUMBER), mapping={name: text.encode() for name, text in hash_.items()})
    ours = {value.setting.field: value.stored for value in control.read(redis, NUMBER).values.values()}
    theirs = seen_by_scripts(redis)
    assert {name: text.removesuffix(".0") for name, text in theirs.items()} == ours
