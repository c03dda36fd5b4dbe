"""Do the scripts still do what the model says after ten thousand steps, clocks that are set, and servers that die?

Each walk is one number's life by a seed: every move of the state machine, clocks set back and forth, a server that is
killed and comes back from its log. `SEEDS=7,8 STEPS=50000 make test ARGS=tests/scripts/test_walk.py` walks elsewhere.
"""

from __future__ import annotations

import os
from collections import deque

import pytest

from headway import keys
from tests.harness.leaks import leaks
from tests.harness.servers import ThrowawayServer
from tests.harness.waiting import wait_until
from tests.scripts._choices import Seeded
from tests.scripts._world import MOVES, RULES, World

STEPS = int(os.environ.get("STEPS", "10000"))
SEEDS = [int(seed) for seed in os.environ.get("SEEDS", "1,2,3").split(",")]

#: All keys are compared this often; the meter after every step.
EVERY = 20

#: More than this on the lanes, and nobody publishes for a while.
CROWD = 120
PUBLISHING = ("push", "publish", "rubbish", "a_way")


def kill_and_start(server: ThrowawayServer) -> None:
    """Kill a server that has written down all that it has answered: no script can help what `everysec` loses."""
    client = server.client()
    client.config_set("appendfsync", "always")
    client.set(keys.ready(), "1", ex=5)  # answered after everything before it is on disk
    client.connection_pool.disconnect()
    server.kill()
    server.start()
    wait_until(lambda: not client.info("persistence")["loading"], description="the log to be read back")
    client.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_long_walk_does_what_the_model_says(own_server: ThrowawayServer, seed: int) -> None:
    """After every step the meter is as the model's, after every 20 each key; in the end all messages get through."""
    c = Seeded(seed)
    world = World(own_server.client(), **{name: c.pick(options) for name, options in RULES.items()})
    last: deque[str] = deque(maxlen=12)
    step = 0
    try:
        for step in range(STEPS):
            c.log.clear()
            move = _next_move(c, world)
            last.append(f"{step} {move}")
            getattr(world, move)(c)
            last[-1] += f" {c.log}"
            if step in (STEPS // 3, STEPS * 2 // 3):
                kill_and_start(own_server)
                world.redis.connection_pool.disconnect()
            world.check()
            if step % EVERY == 0:
                world.check_all()
        world.check_all()
        world.drains()
        world.check_all()
    except Exception as error:
        walked = "\n  ".join([*last, f"(decided so far in this step: {c.log})"])
        raise AssertionError(f"seed {seed}, step {step} at {world.now}: {error}\nlast steps:\n  {walked}") from error
    assert leaks(world.redis) == []


def _next_move(c: Seeded, world: World) -> str:
    crowded = world.waiting() > CROWD
    names = [name for name in MOVES if not (crowded and name in PUBLISHING)]
    return c.random.choices(names, weights=[MOVES[name] for name in names])[0]
