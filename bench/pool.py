"""Do thousands of numbers live in one pool without costing each other anything?

Real `celery worker` processes that serve all numbers, 10 TPS each, a provider that does nothing, everything else as in
production. Five parts:
  flat    one message now and then, to any of 1, 10, 100, 1,000 and 5,000 numbers: how long it waits, the CPU it costs
  sparse  the same with 1,000 numbers, then beside one with 50,000 waiting, one paused, one whose provider refuses
  busy    all of 1,000 numbers have more waiting than may leave: messages a second through two processes
  idle    nothing waits for any of 1,000 numbers: CPU of the pool
  peer    BullMQ with a queue, a worker and a limiter for each number, in two processes: busy and idle
Wanted of Headway, else the bench exits 1: p99 of a sparse number grows by less than 50 ms; a message's CPU at most
doubles from 1 to 5,000 numbers; 98 % of all TPS is used; each process of an idle pool uses at most 1 % of a core.
"""

from __future__ import annotations

from bench._pool_parts import main

if __name__ == "__main__":
    main(__doc__ or "")
