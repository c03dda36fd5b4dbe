"""Does a lease take what may leave now, in order, and nothing else?"""

from __future__ import annotations

from itertools import pairwise

import pytest
import redis as redis_py

from headway import keys
from scheduler.decisions import Because, Grant, Refuse, Wait
from scheduler.meter import Kind
from scheduler.rules import MOST_ROWS
from tests.harness.servers import ThrowawayServer
from tests.scripts.stage import NUMBER, SECOND, Stage, everything

# --- the two bounds


def test_urgent_fills_the_window_and_then_waits_for_its_oldest_charge(stage: Stage) -> None:
    """Ten may leave at 10 TPS; the eleventh may when the first ten's second is over."""
    stage.push(*(f"m{i}" for i in range(25)), class_="urgent")
    assert stage.ids() == [f"m{i}" for i in range(10)]
    start = stage.now_us
    stage.later(ms=400)
    wait = stage.waits()
    assert (wait.because, wait.until_us) == (Because.WINDOW, start + SECOND)
    stage.now_us = wait.until_us
    assert len(stage.ids()) == 10


def test_the_guard_lengthens_the_window(redis: redis_py.Redis) -> None:
    """With 20 ms of guard a charge fills the window for 1.02 s."""
    stage = Stage(redis, guard_us=20_000)
    stage.push(*(f"m{i}" for i in range(11)), class_="urgent")
    assert len(stage.ids()) == 10
    assert stage.waits().until_us == stage.now_us + SECOND + 20_000


@pytest.mark.parametrize(("tps", "window_ms"), [(0.2, 5000), (0.001, 1_000_000), (0.999, 1001.002)])
def test_one_event_always_fits(redis: redis_py.Redis, tps: float, window_ms: float) -> None:
    """Below one a second the window is 1/TPS, and one whole event fits whatever the headroom."""
    stage = Stage(redis, tps=tps, headroom=0.9)
    stage.push("a", "b", class_="bulk")
    stage.count("in", age_ms=2 * window_ms)  # headroom holds, nothing else
    assert stage.ids() == ["a"]
    assert isinstance(stage.lease(), Wait)
    stage.later(ms=window_ms - 1)
    assert isinstance(stage.lease(), Wait)
    stage.later(ms=2)
    assert stage.ids() == ["b"]


def stream(stage: Stage, *, per_second: int, seconds: int = 20) -> None:
    """Let so many messages come in every second."""
    for _ in range(seconds):
        stage.count(*(f"in{stage.now_us}-{index}" for index in range(per_second)))
        stage.later(ms=1000)


def most_in_a_second(stage: Stage, class_: str = "normal") -> int:
    """Send what may leave, every 10 ms of a second, and forget the rest."""
    stage.push(*(f"m{stage.now_us}-{index}" for index in range(40)), class_=class_)
    out = 0
    for _ in range(100):
        out += len(stage.drain())
        stage.later(ms=10)
    stage.redis.delete(*keys.lanes(NUMBER))
    return out


def test_headroom_is_kept_only_while_what_comes_in_needs_it(stage: Stage) -> None:
    """Of 10 TPS a tenth is kept while two messages a second come in; none for a single one, and none a minute later."""
    assert most_in_a_second(stage) == 10
    stage.later(ms=2000)
    stage.count("in")
    stage.later(ms=2000)
    assert most_in_a_second(stage) == 10
    stream(stage, per_second=2)
    stage.later(ms=2000)
    assert most_in_a_second(stage) == 9
    stage.later(ms=60_000)
    assert most_in_a_second(stage) == 10


def test_headroom_is_used_by_what_it_is_kept_for(redis: redis_py.Redis) -> None:
    """Of 20 TPS five are kept for what comes in: four messages leave room for 15 sends, eight for twelve."""
    stage = Stage(redis, tps=20, headroom=0.25)
    stream(stage, per_second=8)
    for inbound, sends in ((0, 15), (4, 15), (5, 15), (8, 12)):
        stage.later(ms=1500)
        stage.count(*(f"now{inbound}-{index}" for index in range(inbound)))
        assert most_in_a_second(stage) == sends, inbound


def test_what_waits_for_headroom_alone_waits_until_a_send_leaves_the_window(redis: redis_py.Redis) -> None:
    """Messages that came in before it leave the window sooner, and make no room."""
    stage = Stage(redis, tps=20, headroom=0.25)
    stream(stage, per_second=8)
    stage.later(ms=1500)
    stage.count("one", "two")
    stage.later(ms=100)
    stage.push(*(f"high{index}" for index in range(40)), class_="normal")
    first, out = stage.now_us, stage.lease()
    while not (isinstance(out, Wait) and out.because is Because.WINDOW):
        stage.now_us = max(stage.now_us, out.until_us if isinstance(out, Wait) else 0)
        out = stage.lease()
    assert isinstance(out, Wait)
    assert (out.because, out.until_us) == (Because.WINDOW, first + SECOND)


def test_calm_stays_free_whatever_uses_the_rest(redis: redis_py.Redis) -> None:
    """Of 20 TPS a fifth stays free while anything comes in, for ten minutes after; urgent leaves nothing free."""
    stage = Stage(redis, tps=20, headroom=0, calm_ppm=200_000)
    assert most_in_a_second(stage) == 20
    stage.later(ms=2000)
    stage.count("in")
    stage.later(ms=2000)
    assert most_in_a_second(stage) == 16
    stage.later(ms=1500)
    stage.count(*(f"more{index}" for index in range(6)))
    assert most_in_a_second(stage) == 10
    stage.later(ms=1500)
    assert most_in_a_second(stage, "high") == 18
    stage.later(ms=1500)
    assert most_in_a_second(stage, "urgent") == 20
    stage.later(ms=600_000)
    assert most_in_a_second(stage) == 20


def test_headroom_by_class(redis: redis_py.Redis) -> None:
    """Of 20 TPS with half of it kept, bulk and normal get 10, high gets 15 and urgent all 20."""
    stage = Stage(redis, tps=20, headroom=0.5)
    for class_, fits in (("bulk", 10), ("normal", 10), ("high", 15), ("urgent", 20)):
        stream(stage, per_second=12)
        stage.later(ms=1500)
        assert most_in_a_second(stage, class_) == fits, class_


def test_debt_holds_sends_back_until_the_container_has_caught_up(stage: Stage) -> None:
    """30 inbound at once put the container 3 s behind: the first send leaves when only nine are left of them."""
    stage.push("m", class_="urgent")
    stage.count(*(f"in{i}" for i in range(30)))
    stage.later(ms=1000)
    wait = stage.waits()
    assert wait.because is Because.DEBT
    assert wait.until_us == stage.now_us + 1_100_000
    stage.now_us = wait.until_us - 1
    assert isinstance(stage.lease(), Wait)
    stage.now_us += 1
    assert stage.ids() == ["m"]


def test_everything_counts_in_the_window(stage: Stage) -> None:
    """Four sends, three inbound, two delivered and one read receipt fill 10 TPS."""
    stage.push(*(f"m{i}" for i in range(4)), class_="urgent")
    assert len(stage.ids()) == 4
    stage.count("a", "b", "c", kind=Kind.INBOUND)
    stage.count("d", "e", kind=Kind.DELIVERED)
    stage.count("f", kind=Kind.READ)
    stage.push("late", class_="urgent")
    assert stage.waits().because is Because.WINDOW
    assert {k: stage.meter()[k] for k in ("send", "inbound", "delivered", "read", "window")} == {
        "send": 4,
        "inbound": 3,
        "delivered": 2,
        "read": 1,
        "window": 10,
    }


# --- pacing


def test_bulk_leaves_evenly(stage: Stage) -> None:
    """At 10 TPS one bulk message leaves about every 100 ms, never two within 50."""
    stage.push(*(f"m{i}" for i in range(40)), class_="bulk")
    stamps = []
    for _ in range(20):
        assert len(stage.drain()) == 1
        stamps.append(stage.now_us)
        stage.now_us = stage.waits().until_us
    gaps = [after - before for before, after in pairwise(stamps)]
    assert min(gaps) >= 50_000
    assert max(gaps) <= 150_000
    assert stamps[-1] - stamps[0] == pytest.approx(1.9 * SECOND, abs=60_000)


def test_the_time_of_an_idle_number_is_not_saved_up(stage: Stage) -> None:
    """After an hour's rest a campaign starts as evenly as it would on a new number, so an urgent message finds room."""
    stage.push("first", class_="bulk")
    assert stage.ids() == ["first"]
    stage.later(ms=3_600_000)
    stage.push(*(f"m{i}" for i in range(40)), class_="bulk")
    assert len(stage.drain()) <= 2


@pytest.mark.parametrize("tps", [10, 80, 1000])
def test_late_wake_ups_cost_less_than_a_twentieth(redis: redis_py.Redis, tps: int) -> None:
    """Asked 10 ms late each time, bulk still uses 95 % of the number's TPS."""
    stage = Stage(redis, tps=tps)
    stage.push(*(f"m{i}" for i in range(7 * tps)), class_="bulk")
    out = 0
    start = stage.now_us
    while stage.now_us < start + 6 * SECOND:
        out += len(stage.drain())
        stage.now_us = stage.waits().until_us + 10_000
    assert 0.95 * 6 * tps <= out <= 7 * tps


def test_a_fast_number_leaves_in_batches(redis: redis_py.Redis) -> None:
    """At 1,000 TPS a wait gathers some 60 ms of rows: no lease of one row each millisecond."""
    stage = Stage(redis, tps=1000)
    stage.push(*(f"m{i}" for i in range(500)), class_="bulk")
    stage.drain()
    stage.now_us = stage.waits().until_us
    assert 50 <= len(stage.ids()) <= 65


def test_a_tps_that_was_just_raised_holds_at_once(redis: redis_py.Redis) -> None:
    """From one message in 1,000 s to 10 a second: the next leaves within 100 ms of the change."""
    stage = Stage(redis, tps=0.001)
    stage.push(*(f"m{i}" for i in range(5)), class_="bulk")
    stage.drain()
    stage.change_live(tps_milli=10_000)
    stage.later(ms=100)
    assert stage.drain() == ["m1"]


def test_urgent_is_never_paced(stage: Stage) -> None:
    """While bulk waits for its pace an urgent message leaves at once."""
    stage.push("b1", "b2", class_="bulk")
    stage.drain()
    stage.push("u", class_="urgent")
    assert stage.drain() == ["u"]


# --- order


def test_classes_leave_in_order_and_first_in_first_out(redis: redis_py.Redis) -> None:
    """One lease takes urgent, high, normal, bulk, each in the order of its pushes."""
    stage = Stage(redis, tps=1000)
    for class_ in ("bulk", "normal", "high", "urgent"):
        stage.push(f"{class_}1", f"{class_}2", class_=class_)
    assert stage.ids() == [f"{c}{i}" for c in ("urgent", "high", "normal", "bulk") for i in (1, 2)]


def test_a_lower_class_does_not_pass_an_urgent_message_behind_expired_ones(stage: Stage) -> None:
    """An urgent message behind a hundred expired ones still leaves before any bulk message."""
    stage.push(*(f"old{i}" for i in range(100)), class_="urgent", expires_at="2020-01-01T00:00:00Z")
    stage.push("u", class_="urgent")
    stage.push("b1", "b2", "b3", class_="bulk")
    left = [id_ for id_ in stage.drain() if not id_.startswith("old")]
    assert left[0] == "u"


def test_a_lower_class_does_not_pass_a_closed_lease(stage: Stage) -> None:
    """When the first of a class can't join the lease, nothing of a lower class does."""
    stage.push("h1", "h2", class_="urgent", to="19990001111")
    stage.push("b1", class_="bulk")
    assert stage.ids() == ["h1"]
    assert stage.ids()[0] == "h2"


def test_rows_of_one_lease_are_of_one_shape(redis: redis_py.Redis) -> None:
    """A row with another template closes the lease and leaves with the next."""
    stage = Stage(redis, tps=100)
    stage.push("a1", "a2", class_="urgent", template_id="A")
    stage.push("b1", class_="urgent", template_id="B")
    stage.push("a3", class_="urgent", template_id="A")
    stage.push("t1", class_="urgent")
    assert [stage.ids() for _ in range(4)] == [["a1", "a2"], ["b1"], ["a3"], ["t1"]]


def test_no_shape_is_mistaken_for_another(redis: redis_py.Redis) -> None:
    """A value in one field is not the same value in another, and a field of None is no field."""
    stage = Stage(redis, tps=100, shape_fields=("template_id", "template_header"))
    stage.push("a", class_="urgent", template_id="X")
    stage.push("b", class_="urgent", text="t", template_header="X")
    stage.push("c", class_="urgent", template_header=None)
    assert [stage.ids() for _ in range(3)] == [["a"], ["b"], ["c"]]


def test_no_recipient_twice_in_one_lease(redis: redis_py.Redis) -> None:
    """Answers match by number, so two messages to one person go in two leases, in order."""
    stage = Stage(redis, tps=100)
    stage.push("a", class_="urgent", to="19990000001")
    stage.push("b", class_="urgent", to="19990000002")
    stage.push("c", class_="urgent", to="19990000001")
    assert stage.ids() == ["a", "b"]
    assert stage.ids() == ["c"]


def test_a_lease_is_capped_by_rows_and_by_bytes(redis: redis_py.Redis) -> None:
    """At most 7 rows; at most 10,000 bytes of bodies, but always one row, however long it is."""
    stage = Stage(redis, tps=1000, max_rows=7, max_bytes=10_000)
    stage.push(*(f"m{i}" for i in range(8)), class_="urgent")
    assert len(stage.ids()) == 7
    assert len(stage.ids()) == 1
    stage.push(*(f"long{i}" for i in range(5)), class_="urgent", text="x" * 4000)
    assert len(stage.ids()) == 2
    stage.change(max_bytes=100)
    assert len(stage.ids()) == 1


def test_the_longest_lease_can_be_granted(redis: redis_py.Redis) -> None:
    """As many rows as a lease may have, and not one more: Lua couldn't hand them over, after it had written."""
    stage = Stage(redis, tps=10_000, max_rows=MOST_ROWS, max_bytes=10_000_000)
    stage.push(*(f"m{i}" for i in range(MOST_ROWS)), class_="urgent")
    assert len(stage.ids()) == MOST_ROWS
    with pytest.raises(ValueError, match="rows"):
        stage.change(max_rows=MOST_ROWS + 1)


def test_in_flight_is_a_limit(redis: redis_py.Redis) -> None:
    """With two leases out there is no third until one has ended."""
    stage = Stage(redis, in_flight=2, max_rows=1, tps=100)
    stage.push("a", "b", "c", class_="urgent")
    stage.granted("L1")
    stage.granted("L2")
    assert stage.waits().because is Because.IN_FLIGHT
    stage.sent("L1", "a")
    assert stage.ids() == ["c"]


def test_a_paused_number_leases_nothing(stage: Stage) -> None:
    """Paused is a refusal, not a wait; afterwards all is as before."""
    stage.push("a")
    stage.change_live(paused=1)
    assert stage.lease() == Refuse(stage.now_us, "paused")
    assert stage.waiting("normal") == ["a"]
    stage.unset("paused")
    assert stage.ids() == ["a"]


def test_nothing_waits(stage: Stage) -> None:
    """An empty number says that it is empty, and that only the doorbell can change it."""
    assert stage.lease() == Wait(stage.now_us, 0, Because.EMPTY)


# --- deferred, expired


def test_a_message_with_send_at_leaves_at_its_time_and_before_those_that_waited(stage: Stage) -> None:
    """It is deferred by the first lease that meets it, and goes to the head of its lane when its time has come."""
    stage.push("later", send_at="2030-03-17T17:46:45+00:00")  # START_US is 2030-03-17T17:46:40Z
    stage.push("now")
    assert stage.drain() == ["now"]
    wait = stage.waits()
    assert (wait.because, wait.until_us) == (Because.EMPTY, stage.now_us + 5 * SECOND)
    stage.later(ms=4999.9)
    assert isinstance(stage.lease(), Wait)
    stage.push("newer")
    stage.later(ms=0.1)
    assert stage.ids() == ["later"]
    stage.now_us = stage.waits().until_us
    assert stage.ids() == ["newer"]


def test_a_wait_never_sleeps_through_a_deferral(stage: Stage) -> None:
    """While bulk waits for its pace, an urgent message's time comes sooner, and the wait says so."""
    stage.change(tps_milli=200)
    stage.push("b1", "b2", class_="bulk")
    stage.drain()
    stage.push("u", class_="urgent", send_at="2030-03-17T17:46:41Z")
    stage.waits()  # defers it
    assert stage.waits().until_us <= stage.now_us + SECOND


def test_messages_of_one_time_come_back_in_their_order(redis: redis_py.Redis) -> None:
    """120 messages deferred to one moment: promoted 50 a call, still first in, first out."""
    stage = Stage(redis, tps=1000, max_rows=100)
    ids = [f"m{i:03d}" for i in range(120)]
    stage.push(*ids, class_="urgent", send_at="2030-03-17T17:46:50Z")
    assert stage.drain() == []
    stage.later(ms=10_000)
    assert stage.drain() == ids


def test_expired_messages_leave_their_lane_uncharged(stage: Stage) -> None:
    """They are leased to be recorded, and use no TPS."""
    stage.push("old", expires_at="2030-03-17T17:46:39Z")
    stage.push("good", expires_at="2030-03-17T17:46:41Z")
    grant = stage.granted()
    assert [(row.id, row.verdict) for row in grant.rows] == [("old", "expired"), ("good", "send")]
    assert grant.charged == 1


def test_a_hundred_thousand_expired_cost_no_call_more_than_a_few(stage: Stage) -> None:
    """Each call looks at a bounded number of rows, whatever is queued behind."""
    stage.push("one", expires_at="2020-01-01T00:00:00Z")
    lane = keys.lanes(NUMBER)[2]
    raw = stage.redis.lindex(lane, 0)
    stage.redis.delete(lane)
    for start in range(0, 100_000, 10_000):
        stage.redis.lpush(lane, *(raw.replace(b'"id":"one"', b'"id":"e%d"' % i) for i in range(start, start + 10_000)))
    slowest = 0
    for _ in range(20):
        before = stage.redis.info("commandstats").get("cmdstat_hset", {"calls": 0})["calls"]
        grant = stage.granted()
        assert 1 <= len(grant.rows) <= 100
        assert stage.redis.info("commandstats")["cmdstat_hset"]["calls"] - before < 10
        slowest = max(slowest, len(grant.rows))
    assert stage.redis.llen(lane) >= 100_000 - 20 * slowest


# --- the same id twice


def test_the_same_id_twice_on_a_lane_is_one_message(stage: Stage) -> None:
    """A second envelope of an id that is in the lease, or leased already, is dropped."""
    stage.push("a", class_="urgent")
    raw = stage.redis.lindex(keys.lanes(NUMBER)[0], 0)
    stage.put(raw, class_="urgent")
    assert stage.ids() == ["a"]
    stage.put(raw, class_="bulk")
    assert stage.drain() == []
    assert stage.redis.exists(*keys.lanes(NUMBER)) == 0


def test_the_same_id_as_a_deferred_message_is_dropped(stage: Stage) -> None:
    """A message never stands in two places: deferred once, its second envelope goes."""
    stage.push("a", send_at="2030-03-17T17:46:50Z")
    raw = stage.redis.lindex(keys.lanes(NUMBER)[2], 0)
    stage.put(raw)
    stage.put(raw.replace(b"send_at", b"sent_at"))
    assert stage.drain() == []
    assert stage.scores(keys.deferred(NUMBER)).keys() == stage.names(keys.kept(NUMBER)) == {"a"}
    assert stage.redis.exists(*keys.lanes(NUMBER)) == 0


def test_a_class_given_as_a_field_wins_over_the_lane(stage: Stage) -> None:
    """A stock publisher without a priority stands on the urgent lane; its class kwarg moves it to where it belongs."""
    stage.push("x", class_="bulk")
    raw = (
        stage.redis.rpop(keys.lanes(NUMBER)[3])
        .replace(b"[[],{", b"[[],{")
        .replace(b'\\"text\\"', b'\\"class\\":\\"bulk\\",\\"text\\"')
    )
    stage.put(raw, class_="urgent")
    stage.push("h", class_="high")
    grant = stage.granted()
    assert [(row.id, row.step) for row in grant.rows] == [("h", 3)]
    stage.later(ms=1000)
    assert [(row.id, row.step) for row in stage.granted().rows] == [("x", 9)]


def test_a_row_that_closes_the_lease_leaves_the_moved_ones_moved_once(stage: Stage) -> None:
    """Rows moved and deferred before the one that closes the lease are in one place each afterwards."""
    person = "19990000009"
    stage.push("a", class_="urgent", to=person)
    stage.push("deferred", class_="urgent", send_at="2030-03-17T17:50:00Z")
    stage.push("moved", class_="urgent")
    lane = keys.lanes(NUMBER)[0]
    moved = stage.redis.lpop(lane).replace(b'\\"text\\"', b'\\"class\\":\\"bulk\\",\\"text\\"')
    stage.put(moved, class_="urgent")
    stage.push("b", class_="urgent", to=person)
    assert stage.ids() == ["a"]
    assert stage.waiting("urgent") == ["b"]
    assert stage.waiting("bulk") == ["moved"]
    assert stage.names(keys.kept(NUMBER)) == {"deferred"}


# --- twice, and trouble


def test_the_same_lease_id_gives_the_same_answer(stage: Stage) -> None:
    """Run again, later, with other messages waiting: the same rows, charged once; nothing in Redis changes."""
    stage.push("old", expires_at="2020-01-01T00:00:00Z")
    stage.push("a", "b", class_="urgent")
    stage.put("no JSON", class_="urgent")
    first = stage.granted("L")
    before = everything(stage.redis)
    stage.later(ms=300)
    stage.push("c", class_="urgent")
    again = stage.granted("L")
    assert (again.rows, again.charged, again.deadline_us) == (first.rows, first.charged, first.deadline_us)
    assert {k: v for k, v in everything(stage.redis).items() if k in before} == before


def test_a_lease_asked_again_after_a_partial_settle_holds_the_rest(stage: Stage) -> None:
    """What was settled meanwhile is not given out again."""
    stage.push("a", "b", "c", class_="urgent")
    stage.granted("L")
    stage.begin("L")
    stage.sent("L", "b")
    grant = stage.granted("L")
    assert [row.id for row in grant.rows] == ["a", "c"]


def test_scripts_survive_script_flush(stage: Stage) -> None:
    """A server that forgot the scripts is told them again, in the same call."""
    stage.push("a", "b", class_="urgent")
    stage.redis.script_flush()
    assert stage.ids("L") == ["a", "b"]
    stage.redis.script_flush()
    stage.begin("L")
    stage.redis.script_flush()
    assert stage.sent("L", "a", "b") == ["sent", "sent"]


def test_a_full_server_drains(own_server: ThrowawayServer) -> None:
    """Out of memory: a push is refused without a change; lease, begin, count, settle and end go through."""
    client = own_server.client()
    stage = Stage(client, tps=100, max_rows=2)
    stage.push("a", "b", "c", class_="urgent")
    before = everything(client)
    client.config_set("maxmemory", 1)
    with pytest.raises(redis_py.OutOfMemoryError):
        stage.push("d")
    assert everything(client) == before
    assert stage.ids("L") == ["a", "b"]
    assert stage.begin("L") == "begun"
    assert stage.count("in") == 1
    assert stage.renew("L") == []
    assert stage.sent("L", "a") == ["sent"]
    assert stage.end("L").what == "uncertain"
    assert stage.ids() == ["c"]
    client.close()


def test_a_grant_writes_down_who_holds_it_and_until_when(stage: Stage) -> None:
    """The lease, its deadline and its rows stand in Redis, and the sweep sees it when its holder is lost."""
    stage.push("a", "b", class_="urgent")
    grant = stage.granted("L")
    assert isinstance(grant, Grant)
    assert grant.deadline_us == stage.now_us + 10 * SECOND
    assert stage.names(keys.leases(NUMBER)) == {"L"}
    assert stage.names(keys.leased(NUMBER)) == {"a", "b"}
    assert stage.scores(keys.deadlines(NUMBER)) == {"L": grant.deadline_us}
    assert stage.sweep() == 0
    stage.later(ms=10_000)
    assert stage.sweep() == 2
