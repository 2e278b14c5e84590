"""``python -m rlfast.simulator``: the simulator as a process of its own, until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from rlfast.errors import ConfigError
from rlfast.simulator._faults import FORMS
from rlfast.simulator._options import SimulatorOptions
from rlfast.simulator._server import serve

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    default = SimulatorOptions()
    parser = argparse.ArgumentParser(
        prog="python -m rlfast.simulator",
        description="Serve simulated agent events, cognitive cycles and oversight alerts over WebSocket.",
    )
    parser.add_argument("--host", default=default.host, help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=default.port, help="TCP port; 0: a free one (default: 0)")
    parser.add_argument(
        "--events", type=int, help="payloads per connection, then close (default: without end)"
    )
    parser.add_argument("--rate", type=float, help="events per second (default: as fast as the client reads)")
    parser.add_argument(
        "--seed", type=int, default=default.seed, help="seed of all payloads (default: %(default)s)"
    )
    parser.add_argument(
        "--pool",
        type=int,
        default=default.pool,
        help="events generated before they repeat (default: %(default)s)",
    )
    parser.add_argument(
        "--require-token-env",
        metavar="NAME",
        help="environment variable with the token that clients must present (default: everybody is let in)",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="SPEC",
        help=f"what goes wrong, repeatable: {', '.join(form.text for form in FORMS.values())}; "
        "xC behind it: the first C connections only, such as drop:1000x3",
    )
    parser.add_argument(
        "--echo", action="store_true", help="give messages to a cognitive cycle back as they came"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulator; return 0 after a signal, 1 if the port is taken. Wrong arguments exit with 2."""
    parser = _parser()
    args = parser.parse_args(arguments)
    token = None
    if args.require_token_env is not None:
        token = os.environ.get(args.require_token_env)
        if not token:
            parser.error(f"--require-token-env: the environment variable {args.require_token_env} is not set")
    try:
        options = SimulatorOptions(
            host=args.host,
            port=args.port,
            events=args.events,
            rate=args.rate,
            seed=args.seed,
            pool=args.pool,
            require_token=token,
            faults=tuple(args.fault),
            echo=args.echo,
        )
    except ConfigError as error:
        parser.error(str(error))
    try:
        asyncio.run(serve(options, lambda simulator: print(f"listening on {simulator.base_url}", flush=True)))
    except OSError as error:
        print(f"cannot listen on {args.host}:{args.port}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
