"""Binary messages that the application compresses, each by itself: names, and what decodes them."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Literal, TypeAlias, get_args

from rlfast._core.encodings import InflatingDecoder, LibraryDecoder, PayloadDecoder
from rlfast.errors import MissingExtraError, check_choice

__all__ = ["Encoding", "check_encoding", "payload_decoder"]

Encoding: TypeAlias = Literal["gzip", "zlib", "deflate", "zstd"]


def check_encoding(encoding: Encoding | None) -> Encoding | None:
    """Return the argument of `rlfast.connect`, if messages can be decoded so.

    Raises:
        ConfigError: it is no encoding.
        MissingExtraError: it needs a package that is not installed.
    """
    check_choice("encoding", encoding, get_args(Encoding), optional=True)
    if encoding == "zstd":
        _zstd()
    return encoding


def payload_decoder(encoding: Encoding | None) -> PayloadDecoder | None:
    """What decodes the binary messages of one connection."""
    if encoding is None:
        return None
    if encoding == "zstd":
        zstd = _zstd()
        return LibraryDecoder(encoding, zstd.ZstdDecompressor, zstd.ZstdError)
    return InflatingDecoder(encoding)


def _zstd() -> Any:
    """Python's own module, or the same for versions before 3.14 (PEP 784)."""
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError("backports.zstd", "zstd") from error
