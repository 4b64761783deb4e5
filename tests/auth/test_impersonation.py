"""Who may speak as whom, and as whom they then count."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from pymetrics_server.auth.impersonation import Impersonation
from pymetrics_server.errors import AuthorizationError
from pymetrics_server.meta.identity import Attributes, Decision, UserInfo
from pymetrics_server.meta.status import StatusError

BOB = UserInfo("bob", ("system:authenticated",))
AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
Asked = tuple[str, str, str, str, str]


class Authorizer:
    """Allows all but `denied`, by resource and name; `asked` are group, resource, subresource, namespace, name."""

    def __init__(self, *denied: str) -> None:
        self.denied = denied
        self.asked: list[Asked] = []
        self.fails = False

    async def authorize(self, user: UserInfo, attributes: Attributes) -> Decision:
        assert (user, attributes.verb) == (BOB, "impersonate")
        if self.fails:
            raise AuthorizationError("sar boom")
        a = attributes
        self.asked.append((a.group, a.resource, a.subresource, a.namespace, a.name))
        return Decision(f"{a.resource}/{a.name}" not in self.denied, "because")


def headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


async def acting(authorizer: Authorizer, *pairs: tuple[str, str]) -> UserInfo:
    return await Impersonation(authorizer).acting(BOB, headers(*pairs))


async def test_without_such_headers_everybody_is_themselves_and_nothing_is_asked() -> None:
    authorizer = Authorizer()
    sent = (("Impersonate_User", "alice"), ("X-Impersonate-User", "alice"), ("Impersonate-User", ""))
    assert await acting(authorizer, *sent) is BOB
    assert authorizer.asked == []


async def test_each_part_of_the_other_user_is_asked_for_and_then_taken_on() -> None:
    authorizer = Authorizer()
    user = await acting(
        authorizer,
        ("Impersonate-User", "alice"),
        ("Impersonate-Group", "dev,ops"),
        ("impersonate-group", "admins"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Extra-Scopes", "a"),
        ("impersonate-extra-scopes", "b"),
        ("Impersonate-Extra-Acme.com%2FProject", "p"),
    )
    assert user == UserInfo(
        "alice",
        ("dev,ops", "admins", AUTHENTICATED),
        "7",
        {"scopes": ("a", "b"), "acme.com/project": ("p",)},
    )
    group = "authentication.k8s.io"
    assert authorizer.asked == [
        ("", "users", "", "", "alice"),
        ("", "groups", "", "", "dev,ops"),
        ("", "groups", "", "", "admins"),
        (group, "userextras", "scopes", "", "a"),
        (group, "userextras", "scopes", "", "b"),
        (group, "userextras", "acme.com/project", "", "p"),
        (group, "uids", "", "", "7"),
    ]


async def test_a_service_account_is_asked_for_as_one_and_has_its_groups() -> None:
    authorizer = Authorizer()
    user = await acting(authorizer, ("Impersonate-User", "system:serviceaccount:ns:robot"))
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns", AUTHENTICATED)
    assert authorizer.asked == [("", "serviceaccounts", "", "ns", "robot")]
    authorizer.asked.clear()
    await acting(authorizer, ("Impersonate-User", "system:serviceaccount:NS:robot"))
    assert authorizer.asked == [("", "users", "", "", "system:serviceaccount:NS:robot")]


@pytest.mark.parametrize(
    ("name", "given", "groups"),
    [
        ("alice", [], (AUTHENTICATED,)),
        ("alice", [UNAUTHENTICATED], (UNAUTHENTICATED,)),
        ("system:anonymous", [], (UNAUTHENTICATED,)),
        ("system:serviceaccount:ns:robot", ["x"], ("x", AUTHENTICATED)),
    ],
)
async def test_the_group_that_tells_who_is_known_is_added_where_it_is_missing(
    name: str, given: list[str], groups: tuple[str, ...]
) -> None:
    sent = [("Impersonate-User", name), *(("Impersonate-Group", g) for g in given)]
    assert (await acting(Authorizer(), *sent)).groups == groups


@pytest.mark.parametrize(
    ("denied", "message", "kind"),
    [
        (
            "users/alice",
            'users "alice" is forbidden: User "bob" cannot impersonate resource "users" in API group "" '
            "at the cluster scope: because",
            "users",
        ),
        (
            "groups/system:masters",
            'groups "system:masters" is forbidden: User "bob" cannot impersonate resource "groups" in API group '
            '"" at the cluster scope: because',
            "groups",
        ),
    ],
)
async def test_one_part_that_is_denied_denies_all(denied: str, message: str, kind: str) -> None:
    with pytest.raises(StatusError) as refused:
        await acting(
            Authorizer(denied), ("Impersonate-User", "alice"), ("Impersonate-Group", "system:masters")
        )
    assert (refused.value.code, refused.value.message) == (403, message)
    assert refused.value.details is not None
    assert refused.value.details.kind == kind


async def test_where_nobody_can_say_nobody_is_impersonated() -> None:
    authorizer = Authorizer()
    authorizer.fails = True
    with pytest.raises(StatusError, match='User "bob" cannot impersonate'):
        await acting(authorizer, ("Impersonate-User", "alice"))


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Impersonate-Group", "dev", 'UID:"", Groups:[]string{"dev"}, Extra:map[string][]string(nil)'),
        ("Impersonate-Uid", "7", 'UID:"7", Groups:[]string(nil), Extra:map[string][]string(nil)'),
        (
            "Impersonate-Extra-Scopes",
            "a",
            'UID:"", Groups:[]string(nil), Extra:map[string][]string{"scopes":[]string{"a"}}',
        ),
    ],
)
async def test_parts_of_nobody_are_an_error(name: str, value: str, shown: str) -> None:
    with pytest.raises(StatusError) as refused:
        await acting(Authorizer(), (name, value))
    message = f'requested &user.DefaultInfo{{Name:"", {shown}}} without impersonating a user name'
    assert (refused.value.code, refused.value.message) == (400, message)


async def test_bytes_that_are_not_utf_8_impersonate_nobody() -> None:
    for name in ("Impersonate-User", "Impersonate-Group"):
        with pytest.raises(AuthorizationError, match="not UTF-8"):
            await acting(Authorizer(), (name, "\udce4"))
