"""What the metrics API answers, asked as kubectl and the HPA ask it: is it all there, and is it of now?"""

from collections.abc import Iterator, Sequence

import msgspec

from pymetrics_server.doctor.ailment import Ailment
from pymetrics_server.doctor.checks.arguments import node_selector
from pymetrics_server.doctor.checks.samples import lines
from pymetrics_server.doctor.checks.unread import said, unread
from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.finding import Finding, Stage, State, healthy, unseen
from pymetrics_server.doctor.objects import Metadata, Node, NodeMetrics, Pod, PodMetrics, listed
from pymetrics_server.doctor.subject import options_of
from pymetrics_server.meta.duration import format_go, parse_go
from pymetrics_server.meta.timestamp import parse_rfc3339

_ID = "served"
_SECOND_NS = 1_000_000_000
_YOUNG_NS = 120 * _SECOND_NS
_LEAST_STALE_NS = 60 * _SECOND_NS
#: What kube-apiserver answers whom it knows, of a server that is not there, out of reach, or does not believe it.
_FORWARDED = (401, 404, 503)
#: Some pods always restart or have just ended: from here on it is the pipeline.
_MOST_MISSING_PERCENT = 20


class _Named(msgspec.Struct, frozen=True):
    metadata: Metadata = Metadata()


class _Entry(msgspec.Struct, frozen=True):
    """One node or pod that is served; None where it does not tell."""

    name: str
    age_ns: int | None
    window_ns: int | None


def served(evidence: Evidence) -> Iterator[Finding]:
    nodes = listed(evidence.answer(Asked.SERVED_NODES), NodeMetrics)
    pods = listed(evidence.answer(Asked.SERVED_PODS), PodMetrics)
    yield from _unread(evidence)
    if nodes is None and pods is None:
        return
    if not nodes and not pods:
        yield Ailment.SERVED_NOTHING.found(
            _empty(nodes, pods), namespace=evidence.subject.namespace, pod=_pod(evidence)
        )
        return
    served_nodes = None if nodes is None else [_entry(evidence, each.metadata.name, each) for each in nodes]
    served_pods = (
        None if pods is None else [_entry(evidence, _full_name(each.metadata), each) for each in pods]
    )
    wrong = [
        *(_missing_nodes(evidence, served_nodes) if served_nodes is not None else ()),
        *(_missing_pods(evidence, served_pods) if served_pods is not None else ()),
        *_stale(evidence, served_nodes or (), served_pods or ()),
        *_long_windows(evidence, [*(served_nodes or ()), *(served_pods or ())]),
    ]
    yield from wrong
    if not wrong:
        yield healthy(_ID, Stage.SERVED, _shown(served_nodes, served_pods))


def _unread(evidence: Evidence) -> Iterator[Finding]:
    """The lists that are none. Who may not read them hears it once; the server itself need not."""
    refused = []
    for asked, what in ((Asked.SERVED_NODES, "the nodes' metrics"), (Asked.SERVED_PODS, "the pods' metrics")):
        answer = evidence.answer(asked)
        if answer.status == 403 and not evidence.in_pod:
            refused.append(f"{what} may not be read: {said(answer)}")
        elif answer.status in _FORWARDED:  # the APIServices tell why
            yield unseen(_ID, Stage.SERVED, f"{what} are not to be had: {answer.status}, {said(answer)}")
        elif listed(answer, NodeMetrics) is None:
            yield unread(_ID, Stage.SERVED, what, answer)
    if refused:
        yield Ailment.SERVED_REFUSED.found(refused[0], details=refused[1:])


def _empty(nodes: Sequence[NodeMetrics] | None, pods: Sequence[PodMetrics] | None) -> str:
    told = [what for what, found in (("nodes", nodes), ("pods", pods)) if found is not None]
    return f"the metrics API has no {' and no '.join(told)}"


def _missing_nodes(evidence: Evidence, entries: Sequence[_Entry]) -> Iterator[Finding]:
    """Against those that are ready, are to be scraped, and are not new."""
    have = {entry.name for entry in entries}
    selector = node_selector(evidence)
    ready = [
        node.metadata.name
        for node in listed(evidence.answer(Asked.NODES), Node) or ()
        if node.ready and selector.matches(node.metadata.labels) and not _is_young(evidence, node.metadata)
    ]
    missing = [name for name in ready if name not in have]
    if missing:
        seen = f"{len(missing)} of {len(ready)} ready nodes are not served, such as {missing[0]}"
        yield Ailment.SERVED_NODES_MISSING.found(
            seen, details=lines(missing), namespace=evidence.subject.namespace, pod=_pod(evidence)
        )


def _missing_pods(evidence: Evidence, entries: Sequence[_Entry]) -> Iterator[Finding]:
    have = {entry.name for entry in entries}
    running = [
        _full_name(each.metadata)
        for each in listed(evidence.answer(Asked.RUNNING_PODS), _Named) or ()
        if not _is_young(evidence, each.metadata)
    ]
    missing = [name for name in running if name not in have]
    if missing:
        is_many = 100 * len(missing) > _MOST_MISSING_PERCENT * len(running)
        yield Ailment.SERVED_PODS_MISSING.found(
            f"{len(missing)} of {len(running)} pods that run for 2 minutes or more are not served, such as {missing[0]}",
            state=State.SICK if is_many else State.WARNING,
            details=lines(missing),
            example=missing[0],
        )


def _stale(evidence: Evidence, nodes: Sequence[_Entry], pods: Sequence[_Entry]) -> Iterator[Finding]:
    """Older than what is served on while scrapes fail."""
    limit_ns = max(_LEAST_STALE_NS, options_of(evidence.subject).effective_metric_max_age_ns)
    old: list[tuple[int, str]] = []
    counts = []
    for entries, what in ((nodes, "nodes"), (pods, "pods")):
        found = [
            (each.age_ns, each.name) for each in entries if each.age_ns is not None and each.age_ns > limit_ns
        ]
        if found:
            counts.append(f"{len(found)} of {len(entries)} {what}")
            old += sorted(found, reverse=True)
    if not old:
        return
    oldest_ns, oldest = max(old)
    seen = f"{' and '.join(counts)} are served older than {_s(limit_ns)}, {oldest} is {_s(oldest_ns)} old"
    details = [f"{name}: {_s(age_ns)} old" for age_ns, name in old]
    if len(old) == len(nodes) + len(pods):
        details = ["all of them: this machine's clock may be ahead", *details]
    yield Ailment.SERVED_STALE.found(
        seen, details=lines(details), namespace=evidence.subject.namespace, pod=_pod(evidence)
    )


def _long_windows(evidence: Evidence, entries: Sequence[_Entry]) -> Iterator[Finding]:
    """A window is the time between two scrapes that both answered."""
    limit_ns = max(_LEAST_STALE_NS, 3 * options_of(evidence.subject).metric_resolution_ns)
    windows_ns = {entry.name: entry.window_ns for entry in entries if entry.window_ns is not None}
    long = {name: window_ns for name, window_ns in windows_ns.items() if window_ns > limit_ns}
    if not long:
        return
    longest = max(long, key=lambda name: long[name])
    seen = f"{len(long)} of {len(entries)} are measured over more than {_s(limit_ns)}, {longest} over {_s(long[longest])}"
    details = lines([f"{name}: {_s(window_ns)}" for name, window_ns in long.items()])
    yield Ailment.SERVED_STALE.found(
        seen, state=State.WARNING, details=details, namespace=evidence.subject.namespace, pod=_pod(evidence)
    )


def _entry(evidence: Evidence, name: str, metrics: NodeMetrics | PodMetrics) -> _Entry:
    try:
        age_ns = evidence.taken_ns - parse_rfc3339(metrics.timestamp)
    except ValueError:
        age_ns = None
    try:
        window_ns = parse_go(metrics.window)
    except ValueError:
        window_ns = None
    return _Entry(name, age_ns, window_ns)


def _is_young(evidence: Evidence, metadata: Metadata) -> bool:
    """Whoever does not tell is not."""
    try:
        return evidence.taken_ns - parse_rfc3339(metadata.creation_timestamp or "") < _YOUNG_NS
    except ValueError:
        return False


def _full_name(metadata: Metadata) -> str:
    return f"{metadata.namespace}/{metadata.name}"


def _pod(evidence: Evidence) -> str:
    """Whose log is to be read."""
    pods = listed(evidence.answer(Asked.PODS), Pod)
    return pods[0].metadata.name if pods else f"deploy/{evidence.subject.service}"


def _shown(nodes: Sequence[_Entry] | None, pods: Sequence[_Entry] | None) -> str:
    counts = [
        f"{len(found)} {what if len(found) != 1 else what[:-1]}"
        for what, found in (("nodes", nodes), ("pods", pods))
        if found is not None
    ]
    entries = [*(nodes or ()), *(pods or ())]
    ages_ns = [entry.age_ns for entry in entries if entry.age_ns is not None]
    windows_ns = [entry.window_ns for entry in entries if entry.window_ns is not None]
    age = f", the oldest is {_s(max(ages_ns))} old" if ages_ns else ""
    spans = (
        dict.fromkeys(_s(window_ns) for window_ns in (min(windows_ns), max(windows_ns))) if windows_ns else ()
    )
    window = f", measured over {' to '.join(spans)}" if spans else ""
    return f"{' and '.join(counts)} are served{age}{window}"


def _s(duration_ns: int) -> str:
    """In whole seconds."""
    return format_go(duration_ns - duration_ns % _SECOND_NS)
