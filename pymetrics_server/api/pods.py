"""PodMetrics: which pods a get or a list finds."""

from collections.abc import Iterator, Mapping, Sequence

from pymetrics_server.api import encode, protobuf
from pymetrics_server.api.collection import selected
from pymetrics_server.api.interfaces import PodLister, UsageReader
from pymetrics_server.api.listoptions import ListOptions
from pymetrics_server.api.shelf import Entry, Shelf, Shown
from pymetrics_server.errors import PymetricsError
from pymetrics_server.meta.objects import PodMeta
from pymetrics_server.meta.status import internal_error, not_found_metrics, not_found_object
from pymetrics_server.meta.usage import PodUsage

_Entry = Entry[PodMeta, PodUsage]
_NONE: Shown[PodMeta, PodUsage] = Shown((), ())


class Pods:
    kind = "PodMetrics"
    resource = "pods"

    def __init__(self, pods: PodLister, usage: UsageReader) -> None:
        self._pods = pods
        self._shelf: Shelf[PodMeta, PodUsage] = Shelf(
            pods.list,
            lambda pod, mono_ns: usage.pod_usage(pod.namespace, pod.name, mono_ns),
            lambda pod: usage.pod_validity(pod.namespace, pod.name),
        )

    def get(self, namespace: str, name: str, mono_ns: int) -> _Entry:
        try:
            pod = self._pods.get(namespace, name)
        except PymetricsError as err:
            raise internal_error(f"failed getting pod: {err}") from err
        if pod is None:
            raise not_found_object("pods", name)
        entry = self._shelf.entry(namespace, pod)
        if not self._shelf.present((entry,), mono_ns):
            raise not_found_metrics("podmetrics", f"{namespace}/{name}")
        return entry

    def select(self, namespace: str, options: ListOptions, mono_ns: int) -> Iterator[Sequence[_Entry]]:
        return selected(self._shelf, self._shown(namespace, options), options, _fields, mono_ns)

    def template(self, entry: _Entry) -> encode.Template:
        if entry.template is None:
            pod = entry.object
            entry.template = encode.template(pod.name, pod.namespace, pod.labels)
        return entry.template

    def json(self, entry: _Entry, created_s: int) -> bytes:
        if entry.json is None:
            entry.json = encode.pod_fragment(self.template(entry), entry.usage, created_s)
        return entry.json

    def protobuf(self, entry: _Entry, created_s: int) -> bytes:
        if entry.protobuf is None:
            pod = entry.object
            entry.protobuf = protobuf.pod_fragment(
                pod.namespace, pod.name, pod.labels, entry.usage, created_s
            )
        return entry.protobuf

    def _shown(self, namespace: str, options: ListOptions) -> Shown[PodMeta, PodUsage]:
        """As few as a field selector leaves. Raises StatusError 500."""
        wanted = options.fields.exact("metadata.namespace")
        if wanted is not None:
            if wanted == "" or namespace not in ("", wanted):
                return _NONE
            namespace = wanted
        name = options.fields.exact("metadata.name")
        try:
            if name is not None and namespace:
                pod = self._pods.get(namespace, name)
                return _NONE if pod is None else Shown((pod,), (self._shelf.entry(namespace, pod),))
            if namespace:
                return self._shelf.of_namespace(namespace)
            everything = self._pods.list()
            return self._shelf.of_all(
                everything, lambda: list(dict.fromkeys(p.namespace for p in everything))
            )
        except PymetricsError as err:
            raise internal_error(f"failed listing pods: {err}") from err


def _fields(pod: PodMeta) -> Mapping[str, str]:
    return {"metadata.name": pod.name, "metadata.namespace": pod.namespace}
