"""Messages of a given size."""

from __future__ import annotations

import msgspec


class Blob(msgspec.Struct):
    """A number, and text up to the size."""

    n: int
    text: str


def payloads(size: int, total: int) -> list[bytes]:
    """Messages of `size` bytes each, `total` bytes of them at least, but 16 messages."""
    count = max(16, total // size)
    out = []
    for number in range(count):
        head = f'{{"n":{number},"text":"'.encode()
        word = (
            f"{number % 97:02d} abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ " * (size // 50 + 1)
        ).encode()
        out.append(head + word[: size - len(head) - 2] + b'"}')
    return out
