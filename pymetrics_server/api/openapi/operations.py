"""What can be asked for: each path with its parameters and what it answers with."""

import msgspec

from pymetrics_server.api.negotiation import JSON, PRODUCED, STREAMED
from pymetrics_server.api.openapi.metrics_types import definition_name
from pymetrics_server.api.openapi.shapes import META, VERSION_INFO
from pymetrics_server.api.request import VERSIONS
from pymetrics_server.meta.status import METRICS_GROUP


class Parameter(msgspec.Struct, frozen=True):
    name: str
    type: str
    description: str
    place: str = "query"  # or path, where it is always required


class Operation(msgspec.Struct, frozen=True):
    """A GET; there is nothing else. `document` is the version 3 document that it belongs to."""

    document: str
    path: str
    operation_id: str
    tag: str
    description: str
    result: str  # the name of a definition
    media_types: tuple[str, ...] = PRODUCED
    parameters: tuple[Parameter, ...] = ()
    action: str = ""  # get or list
    kind: str = ""  # of the objects that are read
    version: str = ""


_PRETTY = Parameter("pretty", "string", "`true` indents the answer, for people to read.")
_NAMESPACE = Parameter("namespace", "string", "The namespace of the pods.", "path")
_OF_LISTS = (
    Parameter("allowWatchBookmarks", "boolean", "Ignored: metrics cannot be watched."),
    Parameter("continue", "string", "Ignored: a list is always whole."),
    Parameter(
        "fieldSelector",
        "string",
        "Only objects whose fields match. The fields are metadata.name and metadata.namespace, the operators "
        "`=`, `==` and `!=`; a comma means and.",
    ),
    Parameter(
        "labelSelector",
        "string",
        "Only objects whose labels match, such as `app=web,tier in (fe,be),!canary`.",
    ),
    Parameter("limit", "integer", "Must be a number, and is ignored: a list is always whole."),
    _PRETTY,
    Parameter("resourceVersion", "string", "Ignored: a list shows what was measured last."),
    Parameter(
        "resourceVersionMatch",
        "string",
        "`Exact` or `NotOlderThan`, and only together with a resourceVersion; ignored otherwise.",
    ),
    Parameter("sendInitialEvents", "boolean", "Refused: it belongs to a watch."),
    Parameter("timeoutSeconds", "integer", "Must be a number, and is ignored: it belongs to a watch."),
    Parameter("watch", "boolean", "Anything but `false` and `0` is refused: metrics cannot be watched."),
)


def operations() -> list[Operation]:
    group_path = f"apis/{METRICS_GROUP}"
    found = [
        Operation(
            "apis",
            "/apis/",
            "getAPIVersions",
            "apis",
            "Which groups of the API are here, and in which versions.",
            f"{META}.APIGroupList",
        ),
        Operation(
            group_path,
            f"/{group_path}/",
            "getMetricsAPIGroup",
            "metrics",
            "In which versions metrics are served.",
            f"{META}.APIGroup",
        ),
        Operation(
            "version",
            "/version/",
            "getCodeVersion",
            "version",
            "The version of the server.",
            VERSION_INFO,
            (JSON,),
        ),
    ]
    for version in VERSIONS:
        found += _of_version(version)
    return sorted(found, key=lambda operation: operation.path)


def _of_version(version: str) -> list[Operation]:
    spelled = "Metrics" + version.capitalize()
    document = f"apis/{METRICS_GROUP}/{version}"
    tag = f"metrics_{version}"

    def read(path: str, noun: str, kind: str, description: str, *parameters: Parameter) -> Operation:
        return Operation(
            document,
            f"/{document}/{path}",
            f"read{spelled}{noun}",
            tag,
            description,
            definition_name(version, kind),
            PRODUCED,
            (*parameters, _PRETTY),
            "get",
            kind,
            version,
        )

    def listed(path: str, noun: str, kind: str, description: str, *parameters: Parameter) -> Operation:
        return Operation(
            document,
            f"/{document}/{path}",
            f"list{spelled}{noun}",
            tag,
            description,
            definition_name(version, f"{kind}List"),
            (*PRODUCED, *STREAMED),
            tuple(sorted((*_OF_LISTS, *parameters), key=lambda parameter: parameter.name)),
            "list",
            kind,
            version,
        )

    node_name = Parameter("name", "string", "The name of the node.", "path")
    pod_name = Parameter("name", "string", "The name of the pod.", "path")
    pods = "namespaces/{namespace}/pods"
    return [
        Operation(
            document,
            f"/{document}/",
            f"get{spelled}APIResources",
            tag,
            "Which resources this version has.",
            f"{META}.APIResourceList",
        ),
        listed("nodes", "NodeMetrics", "NodeMetrics", "The usage of all nodes."),
        read("nodes/{name}", "NodeMetrics", "NodeMetrics", "The usage of one node.", node_name),
        listed(
            "pods", "PodMetricsForAllNamespaces", "PodMetrics", "The usage of the pods of all namespaces."
        ),
        listed(
            pods, "NamespacedPodMetrics", "PodMetrics", "The usage of the pods of a namespace.", _NAMESPACE
        ),
        read(
            pods + "/{name}",
            "NamespacedPodMetrics",
            "PodMetrics",
            "The usage of one pod.",
            pod_name,
            _NAMESPACE,
        ),
    ]
