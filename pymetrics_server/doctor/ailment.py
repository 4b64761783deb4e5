"""What can be wrong with the pipeline, each with its most likely cause and the next thing to type.

docs/troubleshooting/ID.md tells more of each. What is wrong with a node's scrape is a FailureClass: its id is `node-` and
the label, see `of_node`. No cure gives more than is needed: never cluster-admin, never anything to system:anonymous.
"""

from collections.abc import Sequence

from pymetrics_server.doctor.finding import Finding, KnownAilment, Stage, State
from pymetrics_server.errors import FailureClass

_BACKEND = ("pod-*", "service-*", "endpoints-*")
BEFORE_SERVED = ("apiserver-*", "aggregation-*", "front-proxy-*", "apiservice-*", *_BACKEND)


class Ailment(KnownAilment):
    """Of the pipeline, in the order in which it breaks."""

    APISERVER_UNREACHABLE = (
        Stage.APISERVER,
        "kube-apiserver does not run, or the kubeconfig names another address than it has now",
        "kubectl cluster-info",
        (),
    )
    APISERVER_UNTRUSTED = (
        Stage.APISERVER,
        "the kubeconfig's certificate-authority is not the one that signed kube-apiserver's certificate, or the certificate does not name the address",
        "pymetrics-server certs inspect {host_port}",
        (),
    )
    APISERVER_CREDENTIALS = (
        Stage.APISERVER,
        "the kubeconfig's user is not known to kube-apiserver (any more): its certificate or token is out of date",
        "kubectl auth whoami",
        (),
    )
    AGGREGATION_OFF = (
        Stage.AGGREGATION,
        "kube-apiserver runs without --requestheader-client-ca-file, or the CA in it has ended: the aggregation layer is not set up",
        "{command}",
        ("apiserver-*",),
    )
    FRONT_PROXY_CA_UNUSABLE = (
        Stage.AGGREGATION,
        "requestheader-client-ca-file in the ConfigMap extension-apiserver-authentication holds no usable certificate",
        "pymetrics-server certs inspect configmap:kube-system/extension-apiserver-authentication",
        (),
    )
    FRONT_PROXY_CA_EXPIRED = (
        Stage.AGGREGATION,
        "the CA of kube-apiserver's front-proxy certificate is out of date: no aggregated API can believe who asks",
        "{command}",
        (),
    )
    FRONT_PROXY_CA_EXPIRES_SOON = (
        Stage.AGGREGATION,
        "the front-proxy CA ends within 30 days; kubeadm renews its client's certificate, not its CA",
        "pymetrics-server certs inspect configmap:kube-system/extension-apiserver-authentication",
        (),
    )
    FRONT_PROXY_NAMES_OPEN = (
        Stage.AGGREGATION,
        "the front-proxy CA is the cluster's client CA too and any name is allowed: whoever has a client certificate can be anybody",
        "kubectl -n kube-system get configmap extension-apiserver-authentication -o yaml",
        (),
    )
    FRONT_PROXY_HEADERS_UNUSUAL = (
        Stage.AGGREGATION,
        "kube-apiserver removes only the usual headers from what users send: with others anybody may name himself",
        "kubectl -n kube-system get configmap extension-apiserver-authentication -o yaml",
        (),
    )
    FRONT_PROXY_HEADERS_MISSING = (
        Stage.AGGREGATION,
        "kube-apiserver runs without --requestheader-username-headers: no aggregated API knows where it says who asks",
        "add --requestheader-username-headers=X-Remote-User, --requestheader-group-headers=X-Remote-Group and --requestheader-extra-headers-prefix=X-Remote-Extra- to /etc/kubernetes/manifests/kube-apiserver.yaml",
        (),
    )
    FRONT_PROXY_CERTIFICATE_MISSING = (
        Stage.AGGREGATION,
        "kube-apiserver runs without --proxy-client-cert-file: no aggregated API can tell that it is kube-apiserver who asks",
        "{command}",
        (),
    )
    GRANT_MISSING = (
        Stage.GRANTS,
        "a role or a binding of the manifests is gone, or is bound to another ServiceAccount than the server's",
        "{command}",
        ("apiserver-*", "apiservice-other-provider"),
    )
    GRANT_ENDPOINT_MISSING = (
        Stage.GRANTS,
        "the server's ServiceAccount may read one of nodes/stats and nodes/metrics only: it has nothing to fall back to",
        "{command}",
        ("apiserver-*", "grant-missing"),
    )
    NODE_CSR_PENDING = (
        Stage.NODES,
        "kubelets ask for serving certificates that nobody has approved: kube-controller-manager never approves those itself",
        "kubectl certificate approve {csr}",
        (),
    )
    NODE_CSR_DENIED = (
        Stage.NODES,
        "the request for the kubelet's serving certificate was denied, or its signing failed",
        "kubectl describe csr {csr}",
        (),
    )
    NODE_ANONYMOUS = (
        Stage.NODES,
        "the kubelet takes us for system:anonymous: it does not ask kube-apiserver about tokens",
        "set authentication.webhook.enabled: true and authorization.mode: Webhook in /var/lib/kubelet/config.yaml of node {node}, then `systemctl restart kubelet`",
        (),
    )
    NODE_CLOCK = (
        Stage.NODES,
        "the node's clock and this machine's differ",
        "on the node: timedatectl status",
        (),
    )
    NODE_STALE = (
        Stage.NODES,
        "the kubelet tells what it measured long ago: its collecting hangs, as a rule in the container runtime",
        "on the node: journalctl -u kubelet -u containerd --since -10m",
        ("node-clock",),
    )
    NODE_ZERO = (
        Stage.NODES,
        "the kubelet measures nothing of its node: cgroups it cannot read, or a runtime that reports no usage",
        "on the node: journalctl -u kubelet --since -10m | grep -i -e cgroup -e cadvisor",
        (),
    )
    POD_MISSING = (
        Stage.BACKEND,
        "no pod of the server exists",
        "{command}",
        ("apiserver-*", "apiservice-missing"),
    )
    POD_UNSCHEDULABLE = (
        Stage.BACKEND,
        "no node takes the server's pod",
        "kubectl -n {namespace} describe pod {pod}",
        (),
    )
    POD_IMAGE = (
        Stage.BACKEND,
        "the node cannot pull the server's image",
        "kubectl -n {namespace} describe pod {pod}",
        (),
    )
    POD_NOT_STARTED = (
        Stage.BACKEND,
        "the kubelet cannot make the server's container: a Secret or ConfigMap that it names is missing, a volume or the pod network is not there, or the image wants to be root",
        "kubectl -n {namespace} describe pod {pod}",
        (),
    )
    POD_OUT_OF_MEMORY = (
        Stage.BACKEND,
        "the server was killed at its memory limit: it is too low for so many nodes",
        "kubectl -n {namespace} set resources deployment {deployment} --limits=memory={memory} --requests=memory={memory}",
        (),
    )
    POD_PORT_TAKEN = (
        Stage.BACKEND,
        "the server cannot have its port: with hostNetwork the kubelet holds 10250 on every node",
        "give --secure-port=4443 and containerPort 4443 to the Deployment: kubectl -n {namespace} edit deployment {deployment}",
        (),
    )
    POD_CRASHING = (
        Stage.BACKEND,
        "the server ends as soon as it starts",
        "kubectl -n {namespace} logs {pod} --previous",
        (),
    )
    POD_NOT_READY = (
        Stage.BACKEND,
        "the server runs and has nothing to serve yet",
        "kubectl -n {namespace} logs {pod}",
        (
            "apiserver-*",
            "grant-missing",
            "node-*",
            "pod-port-taken",
            "pod-crashing",
            "pod-out-of-memory",
            "pod-image",
            "pod-not-started",
            "pod-unschedulable",
        ),
    )
    SERVICE_MISSING = (
        Stage.BACKEND,
        "the Service that the APIService names does not exist",
        "{command}",
        ("apiserver-*", "apiservice-missing"),
    )
    SERVICE_PORT = (
        Stage.BACKEND,
        "the Service has not the port that the APIService names, or no container has the Service's targetPort",
        "kubectl -n {namespace} get service {service} -o yaml",
        (),
    )
    SERVICE_SELECTS_NOTHING = (
        Stage.BACKEND,
        "the Service's selector matches no pod, although the server's pods exist",
        "kubectl -n {namespace} patch service {service} --type=merge -p {patch}",
        ("pod-missing",),
    )
    ENDPOINTS_NONE = (
        Stage.BACKEND,
        "no address stands behind the Service",
        "kubectl -n {namespace} get endpointslices -l kubernetes.io/service-name={service}",
        ("pod-*", "service-*", "apiserver-*"),
    )
    APISERVICE_MISSING = (
        Stage.APISERVICE,
        "metrics.k8s.io is not registered: the server is not installed, or its APIService was deleted",
        "kubectl apply -f components.yaml",
        ("apiserver-*",),
    )
    APISERVICE_OTHER_PROVIDER = (
        Stage.APISERVICE,
        "metrics.k8s.io belongs to another provider: only one can have it",
        "kubectl get apiservice {apiservice} -o yaml",
        (),
    )
    APISERVICE_V1_STALE = (
        Stage.APISERVICE,
        "v1.metrics.k8s.io points at something that does not serve it: newer clients prefer v1 and find nothing",
        "kubectl delete apiservice v1.metrics.k8s.io",
        (
            "apiservice-unauthorized",
            "apiservice-forbidden",
            "apiservice-timeout",
            "apiservice-refused",
            "apiservice-eof",
            "apiservice-untrusted",
            "apiservice-proxy",
            "apiservice-unavailable",
            *_BACKEND,
        ),
    )
    APISERVICE_TIMEOUT = (
        Stage.APISERVICE,
        "kube-apiserver's machine has no way to the server's pod: a firewall, a security group, or a pod network that the control plane is not part of",
        "open port {port} from the control plane to the nodes; where it has no route to pods at all: hostNetwork: true with --secure-port=4443",
        _BACKEND,
    )
    APISERVICE_REFUSED = (
        Stage.APISERVICE,
        "nothing listens where kube-apiserver connects to: the Service's targetPort and --secure-port differ, or the pod is just going",
        "kubectl -n {namespace} get service,endpointslices -l k8s-app=metrics-server -o wide",
        _BACKEND,
    )
    APISERVICE_EOF = (
        Stage.APISERVICE,
        "the connection ends before an answer: as a rule something between speaks no TLS, or a proxy stands there",
        "kubectl -n kube-system get pod -l component=kube-apiserver -o yaml | grep -i -A1 _proxy",
        ("front-proxy-*", "aggregation-*", *_BACKEND),
    )
    APISERVICE_PROXY = (
        Stage.APISERVICE,
        "kube-apiserver runs with HTTPS_PROXY, and NO_PROXY leaves out the Services' addresses",
        "add {no_proxy} and .svc to NO_PROXY in /etc/kubernetes/manifests/kube-apiserver.yaml",
        (),
    )
    APISERVICE_UNAUTHORIZED = (
        Stage.APISERVICE,
        "the server does not believe kube-apiserver's front-proxy certificate: its CA is not the one in the ConfigMap, its name is not allowed, or it is out of date",
        "pymetrics-server certs inspect configmap:kube-system/extension-apiserver-authentication",
        ("front-proxy-*", "aggregation-*", *_BACKEND),
    )
    APISERVICE_FORBIDDEN = (
        Stage.APISERVICE,
        "the server cannot find out what kube-apiserver's users may do, or they may not",
        "kubectl auth can-i create subjectaccessreviews.authorization.k8s.io --as={account}",
        ("grant-*", "front-proxy-*", *_BACKEND),
    )
    APISERVICE_UNTRUSTED = (
        Stage.APISERVICE,
        "the APIService's caBundle did not sign the server's certificate, or the certificate does not name {service}.{namespace}.svc",
        "pymetrics-server certs serving --out serving --name {service} --namespace {namespace}",
        (),
    )
    APISERVICE_UNAVAILABLE = (
        Stage.APISERVICE,
        "kube-apiserver does not get the answer that it looks for",
        "kubectl describe apiservice {apiservice}",
        ("apiserver-*", "aggregation-*", "front-proxy-*", *_BACKEND),
    )
    SERVED_NOTHING = (
        Stage.SERVED,
        "the API is available and its lists are empty",
        "kubectl -n {namespace} logs {pod}",
        ("grant-*", "node-*", *BEFORE_SERVED),
    )
    SERVED_REFUSED = (
        Stage.SERVED,
        "whoever asks here may not read metrics",
        "kubectl auth can-i list nodes.metrics.k8s.io",
        BEFORE_SERVED,
    )
    SERVED_NODES_MISSING = (
        Stage.SERVED,
        "some nodes' kubelets have not answered for longer than --metric-max-age",
        "kubectl -n {namespace} logs {pod}",
        ("grant-*", "node-*", *BEFORE_SERVED),
    )
    SERVED_PODS_MISSING = (
        Stage.SERVED,
        "pods that run are not served: their containers are fresh, restart, or their runtime tells nothing of them",
        "pymetrics-server doctor pod {example}",
        ("grant-*", "node-*", "served-nodes-missing", *BEFORE_SERVED),
    )
    SERVED_STALE = (
        Stage.SERVED,
        "what is served is older than it may be: scrapes fail, or the server's process has not enough CPU",
        "kubectl -n {namespace} logs {pod}",
        ("grant-*", "node-*", *BEFORE_SERVED),
    )
    KUBECTL_ASKS_HEAPSTER = (
        Stage.CLIENTS,
        "kubectl before 1.10 asks heapster and not metrics.k8s.io",
        "install a kubectl within one minor version of {version}",
        (),
    )
    KUBECTL_SKEW = (
        Stage.CLIENTS,
        "kubectl is supported within one minor version of kube-apiserver",
        "install a kubectl within one minor version of {version}",
        (),
    )


def node_id(failure: FailureClass) -> str:
    return f"node-{failure.label.replace('_', '-')}"


def of_node(failure: FailureClass, seen: str, details: Sequence[str] = (), cure: str = "") -> Finding:
    """What is wrong with a node, or with many in the same way."""
    return Finding(
        node_id(failure), Stage.NODES, State.SICK, seen, failure.cause, cure or failure.cure, details=details
    )
