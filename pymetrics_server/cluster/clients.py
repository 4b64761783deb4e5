"""The connections to kube-apiserver: one for each kubeconfig that a flag names, "" being the pod's own."""

from collections.abc import Mapping

from pymetrics_server.clock import Clock
from pymetrics_server.cluster.connection import Connection
from pymetrics_server.cluster.credentials import Credentials, load
from pymetrics_server.errors import ConfigError

#: What metrics-server says once of a kubeconfig, and twice of everything else that is wrong with one.
_SAID_ONCE = ("stat ", "unable to load root certificates")


async def connect(
    listing: str, authentication: str, authorization: str, *, user_agent: str, clock: Clock
) -> tuple[Credentials, Mapping[str, Connection]]:
    """The credentials for listing, and the connections by kubeconfig; nothing is opened yet. Raises ConfigError,
    which tells first what metrics-server would have met first.
    """
    loaded: dict[str, Credentials] = {}
    for what, path in (("authentication", authentication), ("authorization", authorization)):
        if path not in loaded:
            loaded[path] = await _delegated(what, path, clock)
    if listing not in loaded:
        loaded[listing] = await load(listing, clock=clock)
    return loaded[listing], {path: Connection(c, user_agent, clock) for path, c in loaded.items()}


async def _delegated(what: str, path: str, clock: Clock) -> Credentials:
    failed = f"failed to get delegated {what} kubeconfig: "
    try:
        return await load(path, clock=clock, prefix="")
    except ConfigError as err:
        said = str(err)
        raise ConfigError(f"{failed if said.startswith(_SAID_ONCE) else failed * 2}{said}") from err
