"""PodMetrics: which pods a get or a list finds."""

from collections.abc import Iterator, Mapping, Sequence

from pymetrics_server.api import encode, protobuf
from pymetrics_server.api.fragments import Fragments
from pymetrics_server.api.interfaces import PodLister, UsageReader
from pymetrics_server.api.listoptions import ListOptions
from pymetrics_server.api.negotiation import PROTOBUF
from pymetrics_server.api.served import Served
from pymetrics_server.errors import PymetricsError
from pymetrics_server.meta.objects import PodMeta
from pymetrics_server.meta.predicates import field_predicate, label_predicate
from pymetrics_server.meta.status import internal_error, not_found_metrics, not_found_object
from pymetrics_server.meta.usage import PodUsage


class Pods:
    kind = "PodMetrics"
    resource = "pods"

    def __init__(self, pods: PodLister, usage: UsageReader) -> None:
        self._pods = pods
        self._usage = usage
        self._fragments = Fragments(lambda key: pods.get(*key) is not None)

    def get(self, namespace: str, name: str, mono_ns: int) -> Served:
        try:
            pod = self._pods.get(namespace, name)
        except PymetricsError as err:
            raise internal_error(f"failed getting pod: {err}") from err
        if pod is None:
            raise not_found_object("pods", name)
        usage = self._usage.pod_usage(namespace, name, mono_ns)
        if usage is None:
            raise not_found_metrics("podmetrics", f"{namespace}/{name}")
        return Served(namespace, name, pod.labels, usage)

    def select(
        self, namespace: str, options: ListOptions, mono_ns: int, at_a_time: int
    ) -> Iterator[Sequence[Served]]:
        matches, fits = label_predicate(options.labels), field_predicate(options.fields)
        candidates = self._candidates(namespace, options)
        for start in range(0, len(candidates), at_a_time):
            chunk: Sequence[PodMeta] = candidates[start : start + at_a_time]
            if not options.labels.empty:
                chunk = [pod for pod in chunk if matches(pod.labels)]
            if not options.fields.empty:
                chunk = [pod for pod in chunk if fits(_fields(pod))]
            found = [self._served(pod, mono_ns) for pod in chunk]
            yield [each for each in found if each is not None]

    def fragment(self, served: Served, media_type: str, created_s: int) -> bytes:
        usage = served.usage
        if not isinstance(usage, PodUsage):
            raise TypeError("a pod has the usage of a pod")
        in_protobuf = media_type == PROTOBUF
        write = protobuf.pod_fragment if in_protobuf else encode.pod_fragment
        return self._fragments.get(
            (served.namespace, served.name),
            int(in_protobuf),
            usage,
            served.labels,
            lambda: write(served.namespace, served.name, served.labels, usage, created_s),
        )

    def _candidates(self, namespace: str, options: ListOptions) -> Sequence[PodMeta]:
        wanted = options.fields.exact("metadata.namespace")
        if wanted is not None:
            if wanted == "" or namespace not in ("", wanted):
                return ()
            namespace = wanted
        name = options.fields.exact("metadata.name")
        try:
            if name is None or not namespace:
                return self._pods.list(namespace)
            pod = self._pods.get(namespace, name)
        except PymetricsError as err:
            raise internal_error(f"failed listing pods: {err}") from err
        return () if pod is None else (pod,)

    def _served(self, pod: PodMeta, mono_ns: int) -> Served | None:
        usage = self._usage.pod_usage(pod.namespace, pod.name, mono_ns)
        if usage is None:
            self._fragments.drop((pod.namespace, pod.name))
            return None
        return Served(pod.namespace, pod.name, pod.labels, usage)


def _fields(pod: PodMeta) -> Mapping[str, str]:
    return {"metadata.name": pod.name, "metadata.namespace": pod.namespace}
