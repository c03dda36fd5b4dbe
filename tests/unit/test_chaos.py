"""Do chaos and soak judge what they measured as their words say?"""

from __future__ import annotations

from collections import Counter

import pytest

from bench._chaos_kills import TO_A_GATEWAY, TO_A_SERVER, plan
from bench._chaos_verdict import Story, Tally, problems, tally
from bench._soak_figures import MB, soaked

LATENCY_US = 150_000
UNCERTAIN = '{"at_ms":1,"state":"uncertain","attempts":1}'


def judged(*stories: Story, kills_us: tuple[int, ...] = (), strangers: tuple[str, ...] = ()) -> Tally:
    """Judge messages, the first of which is m0."""
    named = {f"m{index}": story for index, story in enumerate(stories)}
    return tally(named, strangers=strangers, kills_us=kills_us, latency_us=LATENCY_US)


def said(found: Tally, *, wanted: int | None = None) -> list[str]:
    """Return what a run must not have done, when the server was left clean."""
    return problems(found, left=[], leaks=[], wanted=found.accepted if wanted is None else wanted)


def test_a_run_in_which_each_arrived_once_has_no_problem() -> None:
    """That is what is wanted."""
    assert said(judged(Story(class_="normal", arrived_us=[1], state="sent"))) == []


def test_what_never_arrived_is_lost_unless_its_record_says_that_nobody_knows() -> None:
    """A message that is called sent and isn't there is the worst there is."""
    sent, held = (Story(class_="normal", arrived_us=[], state=state) for state in ("sent", "uncertain"))
    found = judged(sent, held, kills_us=(0,))
    assert (found.lost, found.held_unseen) == (["m0"], ["m1"])
    assert "1 lost: m0" in said(found)


@pytest.mark.parametrize(
    ("class_", "history", "excused"),
    [("urgent", UNCERTAIN, True), ("urgent", "", False), ("bulk", UNCERTAIN, False)],
)
def test_twice_is_excused_where_it_was_declared_and_the_class_is_resent(
    class_: str, history: str, excused: bool
) -> None:
    """One further arrival for each declaration, and never of a class that is held."""
    found = judged(Story(class_=class_, arrived_us=[1, 2], state="sent", history=history), kills_us=(1,))
    assert (found.resent, found.doubled) == ((["m0"], []) if excused else ([], ["m0"]))


def test_three_times_needs_two_declarations() -> None:
    """A single one doesn't cover whatever comes after it."""
    once = Story(class_="high", arrived_us=[1, 2, 3], state="sent", history=UNCERTAIN)
    twice = Story(class_="high", arrived_us=[1, 2, 3], state="sent", history=f"{UNCERTAIN}\n{UNCERTAIN}")
    found = judged(once, twice, kills_us=(1,))
    assert (found.doubled, found.resent) == (["m0"], ["m1"])


def test_more_uncertain_than_requests_open_at_a_kill_is_a_problem() -> None:
    """A kill that met no request explains no uncertain message."""
    story = Story(class_="bulk", arrived_us=[1_000_000], state="uncertain")
    assert said(judged(story, kills_us=(1_100_000,))) == []
    assert said(judged(story, kills_us=(2_000_000,))) == ["1 uncertain, 0 requests were open at a kill"]


def test_what_was_not_accepted_not_finished_or_never_asked_for_is_a_problem() -> None:
    """Each of them is named."""
    found = judged(Story(class_="bulk", arrived_us=[1], state="waiting"), strangers=("s1",))
    assert said(found, wanted=2) == [
        "1 of 2 messages were accepted",
        "1 unfinished: m0",
        "1 arrived that nobody had an answer for: s1",
    ]


def test_the_same_seed_chooses_the_same_kills() -> None:
    """A run that went wrong can be lived through again; another seed is another run."""
    kills = plan(100, every_s=0.5, seed=7)
    assert kills == plan(100, every_s=0.5, seed=7) != plan(100, every_s=0.5, seed=8)
    count = Counter(kill.what for kill in kills)
    assert count["gateway"] == 100 // TO_A_GATEWAY
    assert count["stop"] + count["crash"] == 100 // TO_A_SERVER
    assert count["child"] + count["main"] + count["group"] == 100


def lap(**more: int) -> dict[str, int]:
    """A lap's sizes: 100 MB each and 10 keys, and more of some."""
    sizes = {"server": 100 * MB, "worker": 100 * MB, "gateway": 100 * MB, "keys": 10}
    return {name: size + more.get(name, 0) for name, size in sizes.items()}


def test_flat_memory_has_no_problem() -> None:
    """The first lap is for warming up, and a little up and down is no growth."""
    assert soaked([lap(worker=-50 * MB), lap(), lap(server=3 * MB), lap(), lap(worker=2 * MB)]) == []


@pytest.mark.parametrize("name", ["server", "worker", "gateway"])
def test_memory_that_grows_is_named(name: str) -> None:
    """6 MB a lap, of 100."""
    laps = [lap(**{name: 6 * MB * turn}) for turn in range(6)]
    assert [problem.split()[0] for problem in soaked(laps)] == [name]


def test_keys_that_stay_are_seen() -> None:
    """Bytes may hide among others; a key for each lap doesn't."""
    assert soaked([lap(keys=4 * turn) for turn in range(4)]) == [
        "keys without a time to live grew from 14 to 22",
    ]


def test_two_laps_say_nothing() -> None:
    """One is for warming up, and one alone can't be compared."""
    assert soaked([lap(), lap()]) == ["at least three laps are needed to see what grows"]
