"""What can be wrong with the pod or the HorizontalPodAutoscaler that is asked about, while the pipeline may be well."""

from pymetrics_server.doctor.ailment import BEFORE_SERVED
from pymetrics_server.doctor.finding import KnownAilment, Stage


class AskedAilment(KnownAilment):
    ASKED_POD_UNKNOWN = (Stage.SUBJECT, "there is no such pod", "kubectl get pods -A | grep {name}", ())
    ASKED_POD_NOT_RUNNING = (
        Stage.SUBJECT,
        "only pods whose phase is Running are served",
        "kubectl -n {namespace} describe pod {name}",
        (),
    )
    ASKED_POD_ON_BLIND_NODE = (
        Stage.SUBJECT,
        "the pod's node is not served",
        "pymetrics-server doctor",
        ("node-*", "grant-*", *BEFORE_SERVED),
    )
    ASKED_POD_HAS_NO_SERIES = (
        Stage.SUBJECT,
        "the kubelet tells nothing of the pod or of one of its containers: it is fresh, or the runtime does not report it",
        "kubectl -n {namespace} get pod {name} -o wide",
        ("node-*", "grant-*", *BEFORE_SERVED),
    )
    ASKED_POD_TOO_YOUNG = (
        Stage.SUBJECT,
        "a rate needs two samples: the newest container has not run that long yet",
        "ask again in {seconds} s",
        BEFORE_SERVED,
    )
    ASKED_POD_RESTARTS = (
        Stage.SUBJECT,
        "a container restarts again and again: its counters begin anew each time",
        "kubectl -n {namespace} logs {name} -c {container} --previous",
        BEFORE_SERVED,
    )
    ASKED_HPA_UNKNOWN = (Stage.SUBJECT, "there is no such HorizontalPodAutoscaler", "kubectl get hpa -A", ())
    ASKED_HPA_TARGET_MISSING = (
        Stage.SUBJECT,
        "what the HorizontalPodAutoscaler scales does not exist, or has no scale subresource",
        "kubectl -n {namespace} describe hpa {name}",
        (),
    )
    ASKED_HPA_SELECTS_NOTHING = (
        Stage.SUBJECT,
        "its target's selector matches no pod",
        "kubectl -n {namespace} get pods --show-labels",
        (),
    )
    ASKED_HPA_REQUESTS_MISSING = (
        Stage.SUBJECT,
        "a target of Utilization needs a request of that resource in every container of every pod, sidecars too",
        "kubectl -n {namespace} set resources {target} -c {container} --requests={request}",
        (),
    )
    ASKED_HPA_COMPLETED_PODS = (
        Stage.SUBJECT,
        "pods that are finished match the selector too and are counted as without metrics",
        "kubectl -n {namespace} delete pod {pod}",
        (),
    )
    ASKED_HPA_PODS_WITHOUT_METRICS = (
        Stage.SUBJECT,
        "some of its pods are not served: it scales as if they used nothing, or all that they may",
        "pymetrics-server doctor pod {example}",
        ("node-*", "grant-*", *BEFORE_SERVED),
    )
    ASKED_HPA_OTHER_METRICS = (
        Stage.SUBJECT,
        "it asks for custom or external metrics: those come from another API, which an adapter must serve",
        "kubectl get apiservice | grep -e custom.metrics -e external.metrics",
        (),
    )
