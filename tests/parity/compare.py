"""The same requests to both servers, their answers side by side, and what is said of them."""

import asyncio
import difflib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from tests.parity.differences import ON_PURPOSE, matches, row_of
from tests.parity.normal import lines_of
from tests.parity.peers import OUR_FLAGS, Callers, Peer, running
from tests.parity.requests import Request
from tests.parity.wire import Answer
from tests.parity.world import furnish, still_cluster

_ATTEMPTS = 120  # the original serves containers in random order, and prefers some
_SHOWN_LINES = 40

#: In place of the original's path: our own server once more, whose answers must be the same.
ITSELF = "self"


class Compared(msgspec.Struct, frozen=True):
    request: Request
    ours: list[str]
    theirs: list[str]

    @property
    def equal(self) -> bool:
        return self.ours == self.theirs

    @property
    def reordered(self) -> bool:
        return Counter("".join(self.ours)) == Counter("".join(self.theirs))

    def diff(self) -> list[str]:
        """Without the lines that say where: those that differ alike shall read alike."""
        lines = list(difflib.unified_diff(self.theirs, self.ours, lineterm="", n=1))[2:]
        lines = ["@@" if line.startswith("@@") else line for line in lines]
        left_out = len(lines) - _SHOWN_LINES
        return [*lines[:_SHOWN_LINES], *([f"... and {left_out} lines more"] if left_out > 0 else [])]


class Pair(msgspec.Struct):
    """Both servers, and who can ask them."""

    ours: Peer
    theirs: Peer
    callers: Callers

    async def compared(self, request: Request) -> Compared:
        async def lines(peer: Peer) -> list[str]:
            return lines_of(await self.callers.ask(peer, request), request.view, peer.port)

        found = Compared(request, await lines(self.ours), await lines(self.theirs))
        for _ in range(_ATTEMPTS - 1):
            if found.equal or not found.reordered:
                break
            found = Compared(request, found.ours, await lines(self.theirs))
        return found

    async def answers(self, request: Request) -> tuple[Answer, Answer]:
        """As they came: ours, the original's."""
        return await self.callers.ask(self.ours, request), await self.callers.ask(self.theirs, request)


@asynccontextmanager
async def side_by_side(directory: Path, our_command: Sequence[str], peer: str) -> AsyncIterator[Pair]:
    """`peer` is the original's binary, or ITSELF."""
    our_command = [*our_command, *OUR_FLAGS]
    their_command = our_command if peer == ITSELF else [peer]
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(still_cluster(directory))
        callers = Callers(cluster, furnish(cluster))
        ours = running("ours", our_command, cluster, callers)
        theirs = running("original", their_command, cluster, callers)
        async with asyncio.TaskGroup() as starting:
            started = [
                starting.create_task(stack.enter_async_context(server), name=f"start {name}")
                for name, server in (("ours", ours), ("the original", theirs))
            ]
        our_peer, their_peer = (task.result() for task in started)
        yield Pair(our_peer, their_peer, callers)


class Report(msgspec.Struct):
    """`peer` as for side_by_side: beside ITSELF nothing differs, on purpose or not."""

    compared: list[Compared]
    peer: str

    @property
    def equal(self) -> list[Compared]:
        return [c for c in self.compared if c.equal]

    @property
    def differing(self) -> list[Compared]:
        """Neither the same nor on purpose."""
        return [c for c in self.compared if not c.equal and not row_of(c.request.name)]

    @property
    def stale(self) -> list[str]:
        """Patterns said to differ, of whose requests none does."""
        if self.peer == ITSELF:
            return []
        differing = [c.request.name for c in self.compared if not c.equal]
        patterns = [p for d in ON_PURPOSE if d.in_every_build for p in d.patterns]
        return [p for p in patterns if not any(matches(p, name) for name in differing)]

    def summary(self) -> str:
        on_purpose = len(self.compared) - len(self.equal) - len(self.differing)
        counts = f"{len(self.equal)} equal, {on_purpose} differ on purpose, {len(self.differing)} differ"
        return f"{len(self.compared)} requests, {counts}"

    def lines(self) -> Iterator[str]:
        alike: dict[tuple[str, ...], list[str]] = {}
        for compared in self.differing:
            alike.setdefault(tuple(compared.diff()), []).append(compared.request.name)
        for diff, names in alike.items():
            yield from (f"== {name}" for name in names)
            yield from diff
            yield ""
        yield from (f"== said to differ, and does not: {pattern}" for pattern in self.stale)
        yield f"{self.summary()}; - is the original, + is ours"
