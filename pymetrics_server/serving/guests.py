"""Who is connected, from where, and who has to go when there are too many.

Whoever comes is let in while somebody can be spared for it: of its own address where that one has too many,
else of the address that has most and can spare one. Those spared have no request under way; those that never asked anything go
first. So whoever fills the place pays for it, and a client that asks is answered.
"""

import asyncio

from pymetrics_server.log import Logger
from pymetrics_server.serving.connection import HttpConnection
from pymetrics_server.serving.limits import Limits

log = Logger(__name__)

_SAY_AGAIN_AFTER_S = 60.0


class Guests:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._of_peer: dict[str, dict[HttpConnection, None]] = {}
        self._count = 0
        self._said_at_s = -_SAY_AGAIN_AFTER_S

    def __len__(self) -> int:
        return self._count

    def make_room(self, peer: str) -> bool:
        """Whether one more may be added, perhaps in place of another."""
        own = self._of_peer.get(peer, {})
        if len(own) >= self._limits.connections_per_peer:
            return self._spare_one(peer, own)
        if self._count < self._limits.connections:
            return True
        by_size = sorted(self._of_peer.items(), key=lambda of_peer: len(of_peer[1]), reverse=True)
        return any(self._spare_one(name, connections) for name, connections in by_size)

    def add(self, connection: HttpConnection) -> None:
        self._of_peer.setdefault(connection.peer, {})[connection] = None
        self._count += 1

    def remove(self, connection: HttpConnection) -> None:
        """Of one that is not there, nothing."""
        own = self._of_peer.get(connection.peer, {})
        if connection in own:
            del own[connection]
            self._count -= 1
            if not own:
                del self._of_peer[connection.peer]

    def cut_overdue(self, now_s: float) -> None:
        for own in list(self._of_peer.values()):
            for connection in list(own):
                if why := connection.overdue(now_s):
                    log.info("Closing a connection: " + why, v=2, peer=connection.peer)
                    connection.cut()
                    self.remove(connection)

    def cut_largest(self) -> None:
        """Where too much is held of requests that are not whole: whoever has sent most of one."""
        everybody = [connection for own in self._of_peer.values() for connection in own]
        if sum(connection.part_bytes for connection in everybody) > self._limits.parts_bytes:
            largest = max(everybody, key=lambda connection: connection.part_bytes)
            log.info("Closing a connection: too many send long requests", v=2, peer=largest.peer)
            largest.cut()
            self.remove(largest)

    def _spare_one(self, peer: str, own: dict[HttpConnection, None]) -> bool:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._said_at_s >= _SAY_AGAIN_AFTER_S:
            self._said_at_s = now_s
            log.warning("Too many connections: idle ones make room for new ones", peer=peer, count=len(own))
        spare = [(since, connection) for connection in own if (since := connection.spare_since_s())]
        if not spare:
            return False
        _, connection = min(spare, key=lambda item: item[0])
        connection.cut()
        self.remove(connection)
        return True
