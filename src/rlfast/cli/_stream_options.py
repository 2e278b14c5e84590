"""Options that name a stream, the same for every command that connects to one."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

__all__ = ["Agent", "BaseUrl", "Cycle", "Deflate", "Proxy", "Session", "Tenant", "TokenEnv", "Url"]

STREAM = "Which stream"

Url: TypeAlias = Annotated[str | None, typer.Argument(metavar="URL", help="ws:// or wss:// URL.")]
Agent: TypeAlias = Annotated[
    str | None, typer.Option(metavar="ID", help="Events of this agent.", rich_help_panel=STREAM)
]
Cycle: TypeAlias = Annotated[
    str | None, typer.Option(metavar="ID", help="Cognitive cycle of this agent.", rich_help_panel=STREAM)
]
Session: TypeAlias = Annotated[
    str | None, typer.Option(metavar="ID", help="This oversight session.", rich_help_panel=STREAM)
]
BaseUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="RLFAST_BASE_URL",
        help="The platform, such as https://host.",
        rich_help_panel=STREAM,
    ),
]
Tenant: TypeAlias = Annotated[
    str | None, typer.Option(metavar="ID", envvar="RLFAST_TENANT", help="The tenant.", rich_help_panel=STREAM)
]
TokenEnv: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Environment variable with the bearer token; RLFAST_TOKEN if not given. "
        "The token itself is never an argument.",
        rich_help_panel=STREAM,
    ),
]
Proxy: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="RLFAST_PROXY",
        help="http://, https://, socks5:// or socks4:// proxy. With credentials, use the variable: "
        "arguments are seen by others.",
        rich_help_panel=STREAM,
    ),
]
Deflate: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--deflate", help="Let the server compress (RFC 7692): for slow networks.", rich_help_panel=STREAM
    ),
]
