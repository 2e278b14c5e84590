"""A server that looks like the platform: three streams of realistic, seeded events.

::

    async with Simulator(SimulatorOptions(events=1_000_000)) as simulator:
        url = simulator.agent_events_url(agent_id, tenant_id)

`rlfast.simulator._events` gives the same payloads without a network, to check what was received.
``python -m rlfast.simulator --help`` runs it as a process of its own.
"""

from __future__ import annotations

from rlfast.simulator._options import SimulatorOptions
from rlfast.simulator._server import Simulator, serve
from rlfast.simulator._stream import StreamConnection

__all__ = ["Simulator", "SimulatorOptions", "StreamConnection", "serve"]
