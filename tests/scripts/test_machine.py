"""Do the scripts do what the model says, in any order, each also run twice?

`EXPLORE=2000 make test ARGS=tests/scripts/test_machine.py` looks for new ways instead of walking the known ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import redis as redis_py
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.harness.leaks import leaks
from tests.scripts._choices import Drawn
from tests.scripts._world import MOVES, RULES, World

EXPLORE = int(os.environ.get("EXPLORE", "0"))


class Scripts(RuleBasedStateMachine):
    """One number with its model; the moves are the world's, one rule each."""

    redis: Any
    world: World

    @initialize(data=st.data())
    def number(self, data: st.DataObject) -> None:
        """A number with some rules."""
        self.redis.flushdb()
        c = Drawn(data)
        self.world = World(self.redis, **{name: c.pick(options) for name, options in RULES.items()})

    @invariant()
    def the_server_is_as_the_model(self) -> None:
        """Every key, to the digit; nothing lost, nothing over."""
        self.world.check_all()

    def teardown(self) -> None:
        """No key is left that isn't declared."""
        assert leaks(self.redis) == []


def _move(name: str) -> Callable[..., None]:
    def move(self: Scripts, data: st.DataObject) -> None:
        getattr(self.world, name)(Drawn(data))

    move.__name__ = name
    return rule(data=st.data())(move)


@pytest.mark.timeout(3600 if EXPLORE else 120)
def test_any_order_of_scripts_does_what_the_model_says(redis: redis_py.Redis) -> None:
    """Walks of up to 50 steps; after each, every key is as the model says."""
    on_this_server = type("OnThisServer", (Scripts,), {"redis": redis, **{name: _move(name) for name in MOVES}})
    run_state_machine_as_test(
        on_this_server,
        settings=settings(
            max_examples=EXPLORE or 120,
            stateful_step_count=50,
            derandomize=not EXPLORE,
            deadline=None,
            database=None,
            # To shrink a walk takes minutes; who explores has them.
            phases=tuple(Phase) if EXPLORE else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
