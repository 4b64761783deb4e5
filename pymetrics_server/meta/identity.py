"""Who asks, for what, and whether they may: what passes between api and auth."""

from collections.abc import Mapping

import msgspec

ANONYMOUS = "system:anonymous"
UNAUTHENTICATED_GROUP = "system:unauthenticated"
AUTHENTICATED_GROUP = "system:authenticated"
MASTERS_GROUP = "system:masters"


class UserInfo(msgspec.Struct, frozen=True):
    """As kube-apiserver's authenticators describe a user."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = {}


class Attributes(msgspec.Struct, frozen=True):
    """What a SubjectAccessReview asks about: resource attributes, or path and verb (`group` and `resource` are
    then ""). A doubled slash behind the version makes a resource without a name, which is one all the same."""

    verb: str  # get, list, watch, ... for resources; the lower-case HTTP method otherwise
    path: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def is_resource_request(self) -> bool:
        return self.resource != "" or self.group != ""


class Decision(msgspec.Struct, frozen=True):
    allowed: bool
    reason: str = ""


#: system:anonymous, as one who showed no credentials.
ANONYMOUS_USER = UserInfo(ANONYMOUS, (UNAUTHENTICATED_GROUP,))
