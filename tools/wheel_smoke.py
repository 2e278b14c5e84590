"""The smoke test of a wheel: a stream of the embedded simulator over loopback, read in both modes.

Needs nothing but rlfast and its dependencies.
"""

from __future__ import annotations

import asyncio
import sys
import uuid

import rlfast
from rlfast.simulator import Simulator, SimulatorOptions

EVENTS = 5000


async def main() -> None:
    """Read the same events as objects and as columns."""
    async with Simulator(SimulatorOptions(events=EVENTS, pool=1000)) as simulator:
        url = simulator.agent_events_url(str(uuid.uuid4()), str(uuid.uuid4()))
        async with rlfast.connect(url, type=rlfast.AgentEvent, backoff=None) as ws:
            objects = [event async for event in ws]
        async with rlfast.connect(url, type=rlfast.AgentEvent, backoff=None) as ws:
            batches = [batch async for batch in ws.batches()]
    rows = {name: 0 for batch in batches for name in batch}
    for batch in batches:
        for name, table in batch.items():
            rows[name] += len(table["seq"])
    found = (len(objects), sum(rows.values()), sum(batch.dead_letters.num_rows for batch in batches))
    if found != (EVENTS, EVENTS, 0):
        raise SystemExit(f"expected {EVENTS} events both ways and no dead letters, got {found}")
    print(f"rlfast {rlfast.__version__} on Python {sys.version.split()[0]}: {EVENTS} events both ways")


if __name__ == "__main__":
    asyncio.run(main())
