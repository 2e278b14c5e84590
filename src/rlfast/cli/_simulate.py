"""``rlfast simulate``: a server that looks like the platform."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer

from rlfast.cli._common import Debug, print_error
from rlfast.cli._target import DEFAULT_TOKEN_ENV
from rlfast.errors import ConfigError
from rlfast.simulator import Simulator, SimulatorOptions, serve

__all__ = ["simulate_command"]

_DEFAULT = SimulatorOptions()


def simulate_command(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = _DEFAULT.host,
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65_535, help="TCP port; 0: a free one.")
    ] = 8765,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="N", help="Events per second and connection. Default: as fast as the client reads."
        ),
    ] = None,
    events: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Events per connection, then close. Default: without end."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of all events.")] = _DEFAULT.seed,
    require_token: Annotated[
        bool, typer.Option("--require-token", help="Reply 401 unless the client presents the token.")
    ] = False,
    token_env: Annotated[
        str, typer.Option(metavar="NAME", help="Environment variable with the token.")
    ] = DEFAULT_TOKEN_ENV,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="SPEC", help="What goes wrong, and when; repeatable. See above."),
    ] = None,
    echo: Annotated[
        bool,
        typer.Option("--echo", help="Give messages to a cognitive cycle back as they came."),
    ] = False,
    debug: Debug = False,
) -> int:
    """Serve simulated agent events, cognitive cycles and oversight alerts, until Ctrl-C.

    The same seed gives the same events on every machine.

    [bold]Faults[/bold] happen after the first N events of each connection; with xC behind them, such as
    drop:1000x3, in the first C connections only.

    \b
      drop:N             close TCP without a CLOSE frame
      rst:N              reset TCP in the middle of a frame
      silent:N           send and answer nothing any more, TCP stays open
      mute:N             send no more events, but still answer pings
      restart:N:SECONDS  close the whole server, listen again later (0.5 s)
      trickle:N:BYTES    send the rest at so many bytes per second (2000)
      expire:N           close with code 1008, answer 401 from then on
      poison:N           event number N, counted from 0, is malformed JSON
      refuse:K:SECONDS   after the first connection (with xC: after each of the
                         first C), answer the next K upgrades with 503, and
                         with Retry-After if SECONDS are given
      limit:K:SECONDS    the same with 429; SECONDS must be given

    [bold]Examples[/bold]

    \b
      rlfast simulate --rate 1000
      RLFAST_TOKEN=secret rlfast simulate --require-token --events 1000000
      rlfast simulate --events 5000 --fault drop:1000x3 --fault refuse:2:1x3
    """
    token = os.environ.get(token_env) if require_token else None
    if require_token and not token:
        raise typer.BadParameter(f"--require-token: the environment variable {token_env} is not set")
    try:
        options = SimulatorOptions(
            host=host,
            port=port,
            rate=rate,
            events=events,
            seed=seed,
            require_token=token,
            faults=tuple(fault or ()),
            echo=echo,
        )
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    try:
        asyncio.run(serve(options, _announce))
    except OSError as error:
        reason = error.strerror or str(error)
        print_error(f"cannot listen on {host}:{port}: {reason}; choose another --port")
        return 1
    return 0


def _announce(simulator: Simulator) -> None:
    print(f"listening on {simulator.base_url}", flush=True)
    print(
        "try: rlfast capture --agent 5f0c1e9a-7d3b-4c56-9e21-a1b2c3d4e5f6 "
        f"--tenant 9a41c2d3-1e4f-4a5b-8c6d-7e8f90a1b2c3 --base-url {simulator.base_url}",
        flush=True,
    )
