"""A way to the daemon of these tests that can be shut, as if the daemon were gone."""

import socket
import threading
from typing import List

from .daemon import SERVER


class Door:
    def __init__(self) -> None:
        self._open: List[socket.socket] = []
        self._port = 0
        self.open()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def open(self) -> None:
        listener = socket.create_server(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        self._open = [listener]
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        """Whoever is inside is thrown out, and nobody comes in."""
        opened, self._open = self._open, []
        for each in opened:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other side was first
            each.close()

    def _accept(self, listener: socket.socket) -> None:
        host, _, port = SERVER.rpartition(":")
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # it is shut
            daemon = socket.create_connection((host, int(port)))
            self._open += [client, daemon]
            for one, other in ((client, daemon), (daemon, client)):
                threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(65_536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # it is shut
