"""Some nodes asked through kube-apiserver, which may have the way to kubelets that this machine has not."""

import asyncio
from collections.abc import Sequence

from pymetrics_server.clock import Clock
from pymetrics_server.doctor.asking import Asker
from pymetrics_server.doctor.evidence import Answer, NodeProbe
from pymetrics_server.doctor.sampled import told_by
from pymetrics_server.errors import FailureClass, KubeletError
from pymetrics_server.kubelet.summary import decode_summary
from pymetrics_server.meta.objects import Node

_MOST = 20
_SUMMARY = "stats/summary?only_cpu_and_memory=true"

#: By what stands in kube-apiserver's words about the way to the kubelet.
_BY_WORDS = (
    ("no such host", FailureClass.DNS),
    ("i/o timeout", FailureClass.CONNECT_TIMEOUT),
    ("connection timed out", FailureClass.CONNECT_TIMEOUT),
    ("connection refused", FailureClass.REFUSED),
    ("no route to host", FailureClass.UNREACHABLE),
    ("network is unreachable", FailureClass.UNREACHABLE),
    ("unknown authority", FailureClass.TLS_UNKNOWN_ISSUER),
    ("certificate is valid for", FailureClass.TLS_NAME_MISMATCH),
    ("IP SANs", FailureClass.TLS_NAME_MISMATCH),
    ("expired or is not yet valid", FailureClass.TLS_EXPIRED),
    ("remote error: tls: internal error", FailureClass.TLS_ALERT_INTERNAL),
)
_BY_STATUS = {
    401: FailureClass.UNAUTHENTICATED,
    403: FailureClass.FORBIDDEN,
    404: FailureClass.NOT_FOUND,
    405: FailureClass.NOT_FOUND,
}


async def through_apiserver(asker: Asker, nodes: Sequence[Node], clock: Clock) -> Sequence[NodeProbe]:
    """Of up to 20, those that are ready first. Who may not ask about one may not about the others: one tells it. None
    where kube-apiserver itself does not answer."""
    first, *others = sorted(nodes, key=lambda node: not node.ready)[:_MOST]
    probed = await _probed(asker, first, clock)
    if probed is None:
        return []
    if probed.status in (401, 403):
        return [probed]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_probed(asker, node, clock), name=f"through kube-apiserver: {node.name}")
            for node in others
        ]
    return [probed, *(found for task in tasks if (found := task.result()) is not None)]


async def _probed(asker: Asker, node: Node, clock: Clock) -> NodeProbe | None:
    answer, body = await asker.ask_raw(f"/api/v1/nodes/{node.name}/proxy/{_SUMMARY}")
    if not answer.status and answer.failure != "timeout":
        return None
    probe = NodeProbe(
        node.name,
        address_type="proxy",
        port=node.kubelet_port or 10250,
        credentials="user",
        endpoint="summary",
        status=answer.status,
        took_ms=answer.took_ms,
    )
    try:
        if not answer.ok:
            raise KubeletError(_failure(answer), answer.words, status=answer.status)
        return told_by(probe, decode_summary(body), clock.now_ns())
    except KubeletError as err:
        return told_by(probe, err, clock.now_ns())


def _failure(answer: Answer) -> FailureClass:
    if answer.failure == "timeout":
        return FailureClass.SLOW_RESPONSE
    of_status = _BY_STATUS.get(answer.status)
    if of_status is not None:
        return of_status
    for words, failure in _BY_WORDS:
        if words in answer.words:
            return failure
    return FailureClass.SERVER_ERROR if answer.status >= 500 else FailureClass.BAD_STATUS
