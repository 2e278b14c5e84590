"""Proxies: HTTP CONNECT (``http://``, ``https://``) and SOCKS (``socks5://``, ``socks4://``)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from rlfast.errors import ConfigError, check_type

_DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks4": 1080}


def check_proxy(proxy: str | None) -> str | None:
    """Return `proxy` if it is the URL of a proxy, such as ``http://user:password@host:3128``.

    Raises:
        ConfigError: it is not. The text never holds the credentials.
    """
    if proxy is None:
        return None
    check_type("proxy", proxy, str, what="a URL (str)", optional=True)
    if re.search(r"[\x00-\x20\x7f]", proxy):
        raise ConfigError("the proxy must be a URL without spaces or control characters")
    try:
        parts = urlsplit(proxy)
        host, _ = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError:
        raise ConfigError("the URL of the proxy has an invalid host or port") from None
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise ConfigError(
            "a proxy looks like http://host:port, https://host:port, socks5://host:port or socks4://host:port"
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigError("the URL of a proxy has no path; percent-encode '/', '?' and '#' in credentials")
    return proxy


def display_proxy(proxy: str) -> str:
    """`proxy` without its credentials."""
    parts = urlsplit(proxy)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or _DEFAULT_PORTS[parts.scheme]}"
