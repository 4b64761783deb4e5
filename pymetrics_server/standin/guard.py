"""Whom the stand-in kubelets let in, as kubelets do that ask kube-apiserver: TokenReview, then SubjectAccessReview.

Kubernetes: https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/
"""

from collections.abc import Mapping

from aiohttp import web

from pymetrics_server.meta.identity import ANONYMOUS_USER, Attributes, UserInfo
from pymetrics_server.standin.kubelet import bearer
from pymetrics_server.standin.reviews import Policy, certified_user

_SUBRESOURCES = ("stats", "metrics")


class KubeletGuard:
    """`users` by bearer token and the `policy` are kube-apiserver's own; a client certificate of its CA proves one too.

    `knows_tokens` False is a kubelet without webhooks, as its defaults are: whoever shows a token is anonymous to it.
    """

    def __init__(self, users: Mapping[str, UserInfo], policy: Policy) -> None:
        self._users = users
        self._policy = policy
        self.knows_tokens = True

    def refusal(self, request: web.BaseRequest) -> web.Response | None:
        user = certified_user(request.get_extra_info("peercert"))
        if user is None and self.knows_tokens:
            user = self._users.get(bearer(request.headers.get("Authorization")) or "")
            if user is None:
                return web.Response(status=401, text="Unauthorized")
        user = user or ANONYMOUS_USER
        first = request.path.split("/")[1]
        subresource = first if first in _SUBRESOURCES else "proxy"
        asked = Attributes("get", "", "", "v1", "nodes", subresource)
        if self._policy.decide(user, asked).allowed:
            return None
        said = f"Forbidden (user={user.name}, verb=get, resource=nodes, subresource(s)=[{subresource}])"
        return web.Response(status=403, text=said)
