"""What must hold of bytes that kubelets, kube-apiserver and clients send: read, or refused in the one way that callers
know. What was read of a kubelet can be stored, and what is served of it is JSON and protobuf again.
"""

import contextlib
import json
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from pymetrics_server.api import encode, protobuf
from pymetrics_server.api.listoptions import parse_list_options
from pymetrics_server.api.negotiation import LIST, negotiate
from pymetrics_server.api.request import parse_target
from pymetrics_server.cluster import wire
from pymetrics_server.cluster.connection import LineSplitter
from pymetrics_server.cluster.nodes import NODE_SHAPE
from pymetrics_server.cluster.pods import POD_SHAPE
from pymetrics_server.errors import ApiserverError, DecodeError, KubeletError
from pymetrics_server.kubelet.answer import Answering
from pymetrics_server.kubelet.resource import decode_resource
from pymetrics_server.kubelet.summary import decode_summary
from pymetrics_server.meta import quantity
from pymetrics_server.meta.duration import format_go, parse_go
from pymetrics_server.meta.selectors import SelectorError, parse_field_selector, parse_label_selector
from pymetrics_server.meta.status import StatusError
from pymetrics_server.meta.timestamp import format_rfc3339, parse_rfc3339
from pymetrics_server.meta.usage import UNSIGNED, NodeSample
from pymetrics_server.store import Store

_S = 1_000_000_000
_NOW_NS = 1_795_416_192 * _S
_PAYLOADS = Path(__file__).parent.parent / "payloads"


def summary(data: bytes) -> None:
    _served(lambda: decode_summary(data))


def resource(data: bytes) -> None:
    _served(lambda: decode_resource(data, _NOW_NS))


def answer(data: bytes) -> None:
    """HTTP, whole or cut where its first byte says."""
    cut, data = (data[0] if data else 0), data[1:]
    seen: list[tuple[object, ...]] = []
    for pieces in ((data,), (data[:cut], data[cut:])):
        under_way = Answering(10_000)
        try:
            for piece in pieces:
                if not under_way.is_whole:
                    under_way.feed(piece)
            if not under_way.is_whole:
                under_way.end()
            seen.append(under_way.answer()[:3])
        except KubeletError as err:
            seen.append((err.failure,))
    assert len(set(seen)) == 1 or len(data) > 10_000


def labels(data: bytes) -> None:
    text = _text(data)
    try:
        selector = parse_label_selector(text)
    except SelectorError:
        return
    for found in ({}, {"app": "web"}, {requirement.key: "1" for requirement in selector.requirements}):
        assert selector.matches(found) in (True, False)


def fields(data: bytes) -> None:
    with contextlib.suppress(SelectorError):
        parse_field_selector(_text(data))


def quantities(data: bytes) -> None:
    text = _text(data)
    for parse in (quantity.parse_nano, quantity.parse_bytes):
        try:
            value = parse(text)
        except ValueError:
            continue
        if value >= 0 and parse is quantity.parse_bytes:
            assert quantity.parse_bytes(quantity.format_memory(value)) == value
    try:
        duration_ns = parse_go(text)
    except ValueError:
        pass
    else:
        assert parse_go(format_go(duration_ns)) == duration_ns
    try:
        time_ns = parse_rfc3339(text)
    except ValueError:
        return
    if time_ns >= 0:
        assert parse_rfc3339(format_rfc3339(time_ns)) == time_ns // _S * _S


def watch(data: bytes) -> None:
    """Lines of a watch, cut where they will; and the same bytes as a list."""
    splitter = LineSplitter()
    for start in range(0, len(data), 7):
        try:
            lines = splitter.feed(data[start : start + 7])
        except ApiserverError:
            break
        for line in lines:
            try:
                event = wire.event(line)
            except ApiserverError:
                continue
            NODE_SHAPE.one(event.object)
            POD_SHAPE.one(event.object)
            wire.resource_version(event.object)
    for shape in (NODE_SHAPE, POD_SHAPE):
        try:
            page = shape.page(data)
        except ApiserverError:
            continue
        list(page.items)


def accept(data: bytes) -> None:
    with contextlib.suppress(StatusError):
        negotiate(_text(data), {}, "kubectl/v1.36", LIST)


def target(data: bytes) -> None:
    """A request's path and query, and the options of a list in it."""
    try:
        found = parse_target("GET", "/" + data.decode("latin-1"))
        parse_list_options(found.query, "pods")
    except StatusError:
        pass


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (summary, resource, answer, labels, fields, quantities, watch, accept, target)
}

SEEDS: Mapping[str, list[bytes]] = {
    "summary": [
        (_PAYLOADS / "summary-k8s1.36-only-cpu-memory.json").read_bytes()[:6000],
        b'{"node":{"cpu":{"time":"2026-11-23T07:11:46Z","usageNanoCores":3,"usageCoreNanoSeconds":5},"memory":{"workingSetBytes":7}},'
        b'"pods":[{"podRef":{"name":"a","namespace":"b"},"containers":[{"name":"c","startTime":"2026-11-23T07:00:00Z",'
        b'"cpu":{"time":"2026-11-23T07:11:46Z","usageCoreNanoSeconds":18446744073709551615},"memory":{"workingSetBytes":1}}]}]}',
        b'{"node":{"cpu":{"usageCoreNanoSeconds":-1e400}},"pods":[]}',
        b'{"node":{"cpu":{"usageCoreNanoSeconds":1.5}},"pods":[{"podRef":{"name":"a","namespace":"b"},"containers":[{"name":'
        b'"\\ud800","startTime":"2026-11-23T07:00:00Z","cpu":{"time":"2026-11-23T07:11:46Z","usageCoreNanoSeconds":5},'
        b'"memory":{"workingSetBytes":1}}]}]}',
    ],
    "resource": [
        (_PAYLOADS / "resource-k8s1.36.txt").read_bytes()[:4000],
        b'container_cpu_usage_seconds_total{container="c",namespace="n",pod="p"} 1.5 1795417905980\n'
        b'container_memory_working_set_bytes{container="c",namespace="n",pod="p"} 9 1795417905980\n'
        b'container_start_time_seconds{container="c",namespace="n",pod="p"} 1.7e9\n'
        b"node_cpu_usage_seconds_total 2 1795417905980\nnode_memory_working_set_bytes 9 1795417905980\n",
        b'x{a="\\"\\\\\\n",} +Inf\n# HELP x y\n',
    ],
    "answer": [
        b"\x05HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"\x20HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"\x01HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 403 Forbidden\r\n\r\nno",
    ],
    "labels": [
        b"app=web,tier in (a,b),!x,y",
        b"a notin (b,c),d>1,e<2,f==g,h!=i",
        b"app.kubernetes.io/name=x",
    ],
    "fields": [b"metadata.name=a,metadata.namespace!=b", b"a==b\\,c\\=d\\\\"],
    "quantities": [b"123457230n", b"50Mi", b"1.5e3", b"-0.1k", b"1h2m3.5s", b"2026-11-23T06:43:11.5+02:00"],
    "watch": [
        b'{"type":"ADDED","object":{"kind":"Node","metadata":{"name":"a","resourceVersion":"7"},"status":{"addresses":'
        b'[{"type":"InternalIP","address":"10.0.0.1"}],"conditions":[{"type":"Ready","status":"True"}]}}}\n',
        b'{"type":"DELETED","object":{"metadata":{"name":"p","namespace":"n","labels":{"a":"b"}}}}\n{"type":"BOOKMARK"',
        b'{"metadata":{"resourceVersion":"5","continue":"x"},"items":[{"metadata":{"name":"a"}},null]}',
    ],
    "accept": [
        b"application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        b"application/vnd.kubernetes.protobuf;q=0.9, */*;q=0.1",
    ],
    "target": [
        b"apis/metrics.k8s.io/v1beta1/namespaces/a/pods?labelSelector=app%3Dweb&limit=5&fieldSelector=metadata.name%3Dx",
        b"apis/metrics.k8s.io/v1/nodes/n?pretty=1",
    ],
}


def _served(decode: Callable[[], NodeSample]) -> None:
    """Decoded or refused in one line; twice into a store, and out again as bytes."""
    try:
        sample = decode()
    except DecodeError as err:
        refused = err.detail
    else:
        refused = ""
        _serve(sample)
    assert "\n" not in refused


def _serve(sample: NodeSample) -> None:
    containers = len(sample.layout.containers)
    columns = (sample.time_ns, sample.start_ns, sample.cpu_ns, sample.memory_bytes, sample.usage_nanocores)
    assert all(len(column) == containers for column in columns)
    assert sample.layout.first[-1] == containers
    store = Store(15 * _S, 60 * _S)
    store.put("node", sample, _S, 0)
    store.put("node", _later(sample), 2 * _S, 0)
    store.servable(2 * _S)
    used = store.node_usage("node", 2 * _S)
    if used is not None:
        json.loads(encode.node_fragment(encode.template("node", "", {}), used, 1))
        protobuf.node_fragment("node", {}, used, 1)
    for namespace, name in sample.layout.pods:
        of_pod = store.pod_usage(namespace, name, 2 * _S)
        if of_pod is not None:
            found = json.loads(encode.pod_fragment(encode.template(name, namespace, {}), of_pod, 1))
            assert len(found["containers"]) == len(of_pod.containers)
            protobuf.pod_fragment(namespace, name, {}, of_pod, 1)


def _later(sample: NodeSample) -> NodeSample:
    """Its successor: a little more of everything, where there is room for it."""
    return msgspec.structs.replace(
        sample,
        time_ns=array(UNSIGNED, [min(time_ns + 10 * _S, 2**63 - 1) for time_ns in sample.time_ns]),
        cpu_ns=array(UNSIGNED, [min(cpu_ns + 1, 2**64 - 1) for cpu_ns in sample.cpu_ns]),
    )


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
