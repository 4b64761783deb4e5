"""One way of many in which a cluster is broken, and what the doctor is to say of it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from pymetrics_server.doctor.finding import State
from pymetrics_server.standin.resources import ENDPOINTSLICES
from tests.doctor.installation import SLICE, Installation
from tests.doctor.machines import SYSTEM
from tests.doctor.roles import Object

Break = Callable[[Installation], Awaitable[object] | None]


class Broken(msgspec.Struct, frozen=True):
    """`how` breaks one thing. Nothing but `id` is then sick, and the verdict's cure holds each of `cure`; with `state`
    WARNING nothing is sick at all, and `id` warns. `argv` stands behind `doctor`.
    """

    how: Break
    id: str
    cure: Sequence[str]
    argv: Sequence[str] = ()
    state: State = State.SICK


#: By a sentence about what is wrong.
Scenarios = Mapping[str, Broken]


async def set_endpoints(
    i: Installation,
    *,
    addresses: Sequence[Object] | None = None,
    ports: Sequence[Object] | None = None,
    ready: bool = True,
) -> None:
    """Of the server, as their controller writes them; until kube-apiserver has seen what follows."""

    def edit(found: Object) -> None:
        if addresses is not None:
            found["endpoints"] = list(addresses)
        if ports is not None:
            found["ports"] = list(ports)
        for endpoint in found["endpoints"]:
            endpoint["conditions"] = {"ready": ready, "serving": ready, "terminating": False}

    i.change(ENDPOINTSLICES, SLICE, SYSTEM, edit)
    await i.until(i.unavailable)
