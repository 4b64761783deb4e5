"""What the server asks of kube-apiserver and kubelets, and whether it may: reviews, which change nothing."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from pymetrics_server.doctor.asking import Asker
from pymetrics_server.doctor.evidence import Answer, Grant
from pymetrics_server.doctor.subject import namespace_of
from pymetrics_server.meta.identity import AUTHENTICATED_GROUP

_REVIEWS = "/apis/authorization.k8s.io/v1"
_AUTHENTICATION = "extension-apiserver-authentication"

#: As manifests/base grants it: the caches list and watch, kubelets are asked for one of two subresources.
NEEDED: Sequence[Grant] = (
    Grant("get", "nodes/stats"),
    Grant("get", "nodes/metrics"),
    Grant("list", "nodes"),
    Grant("watch", "nodes"),
    Grant("list", "pods"),
    Grant("watch", "pods"),
    Grant("create", "tokenreviews", "authentication.k8s.io"),
    Grant("create", "subjectaccessreviews", "authorization.k8s.io"),
    Grant("list", "configmaps", namespace="kube-system", name=_AUTHENTICATION),
    Grant("watch", "configmaps", namespace="kube-system", name=_AUTHENTICATION),
)


class _Status(msgspec.Struct, rename="camel"):
    allowed: bool | None = None
    reason: str | None = None
    evaluation_error: str | None = None


class _Review(msgspec.Struct):
    status: _Status | None = None


async def granted(asker: Asker, account: str, *, is_us: bool) -> Sequence[Grant]:
    """Each of NEEDED for `account`: asked of ourselves where that `is_us`, which everybody may."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                _granted(asker, grant, account, is_us), name=f"may {grant.verb} {grant.resource}"
            )
            for grant in NEEDED
        ]
    return [task.result() for task in tasks]


def unknown(reason: str) -> Sequence[Grant]:
    return [msgspec.structs.replace(grant, reason=reason) for grant in NEEDED]


async def _granted(asker: Asker, grant: Grant, account: str, is_us: bool) -> Grant:
    kind = "SelfSubjectAccessReview" if is_us else "SubjectAccessReview"
    review: Mapping[str, object] = {
        "kind": kind,
        "apiVersion": "authorization.k8s.io/v1",
        "spec": {"resourceAttributes": _attributes(grant), **({} if is_us else _user(account))},
    }
    answer = await asker.ask(f"{_REVIEWS}/{kind.lower()}s", review=review)
    return _with(grant, answer)


def _with(grant: Grant, answer: Answer) -> Grant:
    replace = msgspec.structs.replace
    if not answer.ok:
        return replace(grant, reason=answer.words)
    found = answer.read(_Review)
    if found is None or found.status is None or found.status.allowed is None:
        return replace(grant, reason="kube-apiserver answered with what is no review")
    status = found.status
    return replace(grant, allowed=status.allowed, reason=status.reason or status.evaluation_error or "")


def _attributes(grant: Grant) -> Mapping[str, str]:
    resource, _, subresource = grant.resource.partition("/")
    attributes = {
        "verb": grant.verb,
        "group": grant.group,
        "version": "v1",
        "resource": resource,
        "subresource": subresource,
        "namespace": grant.namespace,
        "name": grant.name,
    }
    return {key: value for key, value in attributes.items() if value}


def _user(account: str) -> dict[str, object]:
    """With the groups that kube-apiserver gives to every ServiceAccount."""
    namespace = namespace_of(account)
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED_GROUP]
    return {"user": account, "groups": groups}
