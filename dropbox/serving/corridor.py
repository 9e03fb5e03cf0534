"""The corridor: the way of an open connection from the process that read its head to one that serves its lane.

A pair of packet sockets made before the fork, one pair a crew. A packet holds the bytes that came so far, and beside
them the connection itself (SCM_RIGHTS); any process of the crew may take it. Packets outlive the processes: what
waits while a killed worker is replaced is served by the next.
"""

from __future__ import annotations

import contextlib
import os
import socket

from dropbox.serving.door import PIECE_BYTES
from dropbox.serving.head import HEAD_MAX_BYTES, PROXY_LINE_MAX_BYTES

PACKET_MAX_BYTES = PROXY_LINE_MAX_BYTES + HEAD_MAX_BYTES + 2 * PIECE_BYTES


class Corridor:
    """One crew's."""

    def __init__(self) -> None:
        self._entrance, self.exit = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._entrance.setblocking(False)
        self.exit.setblocking(False)

    def send(self, connection: socket.socket, received: bytes) -> bool:
        """Put a connection in; return False when there is no room now. The caller's own copy stays open."""
        try:
            socket.send_fds(self._entrance, [received], [connection.fileno()])
        except BlockingIOError:
            return False
        return True

    def take(self) -> tuple[socket.socket, bytes] | None:
        """Take a connection out, with the bytes that came; None when nobody waits any more."""
        try:
            received, descriptors, _, _ = socket.recv_fds(self.exit, PACKET_MAX_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return None
        if not descriptors:
            return None
        try:
            return socket.socket(fileno=descriptors[0]), received
        except OSError:
            with contextlib.suppress(OSError):
                os.close(descriptors[0])
            return None
