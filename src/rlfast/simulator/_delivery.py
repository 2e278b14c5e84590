"""How much of what was sent over TCP has not arrived, as far as the system tells."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["unacknowledged"]

if sys.platform == "linux":
    import fcntl
    import termios

    def unacknowledged(connected: Any) -> int:
        """Return the bytes that a TCP socket has taken and the peer's system has not acknowledged.

        0 where the system does not tell, such as on Windows.
        """
        answer = fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, bytes(4))
        return int.from_bytes(answer, sys.byteorder)

elif sys.platform == "darwin":
    import socket

    SO_NWRITE = 0x1024
    """From <sys/socket.h>; the socket module does not name it."""

    def unacknowledged(connected: Any) -> int:
        """Return the bytes that a TCP socket has taken and the peer's system has not acknowledged."""
        return int(connected.getsockopt(socket.SOL_SOCKET, SO_NWRITE))

else:

    def unacknowledged(connected: Any) -> int:
        """Return 0: the system does not tell."""
        return 0
