"""What a front proxy may say of a user, and how it is read."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from pymetrics_server.auth.requestheader import authenticate, user_of
from pymetrics_server.auth.trust import Trust, TrustSource
from pymetrics_server.errors import UnauthorizedError, UntrustedError
from pymetrics_server.meta.identity import UserInfo
from pymetrics_server.x509 import Proven, Subject, make_ca


def headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


def proxy(common_name: str = "front-proxy-client") -> Proven:
    return Proven(Subject(common_name, ()), 0, 1, 1)


ALICE = headers(("X-Remote-User", "alice"))
CHAIN = (b"leaf",)
TRUST = Trust(requestheader_ca_pem=b"ca", allowed_names=("front-proxy-client",))


def test_headers_without_a_certificate_are_nobodys_word() -> None:
    assert authenticate(ALICE, (), TRUST, lambda *_: proxy()) is None


def test_headers_are_nobodys_word_where_no_front_proxy_ca_is_known() -> None:
    assert authenticate(ALICE, CHAIN, Trust(), lambda *_: proxy()) is None


def test_an_allowed_front_proxy_names_the_user() -> None:
    assert authenticate(ALICE, CHAIN, TRUST, lambda *_: proxy()) == (UserInfo("alice"), proxy())


def test_no_allowed_names_allow_every_name() -> None:
    trust = Trust(requestheader_ca_pem=b"ca")
    assert authenticate(ALICE, CHAIN, trust, lambda *_: proxy("anyone")) == (
        UserInfo("alice"),
        proxy("anyone"),
    )


def test_a_front_proxy_of_another_name_is_refused_by_name() -> None:
    with pytest.raises(UnauthorizedError, match="x509: subject with cn=kubelet is not in the allowed list"):
        authenticate(ALICE, CHAIN, TRUST, lambda *_: proxy("kubelet"))


def test_a_certificate_that_is_not_proven_is_refused_whatever_the_headers() -> None:
    def refuse(chain: tuple[bytes, ...], ca_pem: bytes) -> Proven:
        raise UntrustedError("x509: certificate signed by unknown authority")

    with pytest.raises(UnauthorizedError, match="unknown authority"):
        authenticate(ALICE, CHAIN, TRUST, refuse)


@pytest.mark.parametrize(
    "name", ["X_Remote_User", "X-Remote_User", "X-Remote-User-", "X-Remote-Use", "XRemoteUser"]
)
def test_a_header_of_a_similar_name_names_nobody(name: str) -> None:
    assert authenticate(headers((name, "admin")), CHAIN, TRUST, lambda *_: proxy()) is None
    user = user_of(headers((name, "admin"), ("x-REMOTE-user", "alice"), ("X_Remote_Group", "g")), TRUST)
    assert user == UserInfo("alice")


def test_an_underscore_is_no_hyphen_in_an_extra_either() -> None:
    sent = headers(("X-Remote-User", "a"), ("X_Remote_Extra_Scopes", "x"), ("X-Remote-Extra_Scopes", "y"))
    assert user_of(sent, TRUST) == UserInfo("a")


def test_a_front_proxy_that_names_nobody_has_no_opinion() -> None:
    sent = headers(("X-Remote-User", ""), ("X-Remote-Group", "system:masters"))
    assert authenticate(sent, CHAIN, TRUST, lambda *_: proxy()) is None


def test_the_first_username_header_that_says_something_counts() -> None:
    trust = Trust(username_headers=("X-First", "X-Second"))
    user = user_of(headers(("X-Second", "bob"), ("X-First", "")), trust)
    assert user is not None
    assert user.name == "bob"


def test_each_group_header_is_one_group_and_commas_stay() -> None:
    user = user_of(
        headers(
            ("X-Remote-User", "bob"),
            ("x-remote-group", "CN=a,OU=b"),
            ("X-Remote-Group", ""),
            ("X-REMOTE-GROUP", "dev"),
        ),
        Trust(),
    )
    assert user is not None
    assert user.groups == ("CN=a,OU=b", "dev")


def test_a_uid_is_read_only_where_its_header_is_configured() -> None:
    sent = headers(("X-Remote-User", "bob"), ("X-Remote-Uid", "7"))
    assert user_of(sent, Trust()) == UserInfo("bob")
    assert user_of(sent, Trust(uid_headers=("X-Remote-Uid",))) == UserInfo("bob", uid="7")


def test_extra_keys_are_lower_case_and_percent_decoded_and_keep_their_values_in_order() -> None:
    user = user_of(
        headers(
            ("X-Remote-User", "bob"),
            ("X-Remote-Extra-Foo%2FBar", "1"),
            ("x-remote-extra-scopes", "b"),
            ("X-Remote-Extra-Scopes", "a,c"),
            ("X-Remote-Extra-Bad%zz%41", "kept as sent"),
        ),
        Trust(),
    )
    assert user is not None
    assert user.extra == {"foo/bar": ("1",), "scopes": ("b", "a,c"), "bad%zz%41": ("kept as sent",)}


VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20)


@given(
    VALUES.filter(bool),
    st.lists(VALUES),
    st.dictionaries(
        st.text(max_size=12).map(str.lower).filter(lambda k: k == k.lower()), st.lists(VALUES, min_size=1)
    ),
)
def test_what_a_front_proxy_says_arrives_as_it_was_meant(
    name: str, groups: list[str], extra: dict[str, list[str]]
) -> None:
    sent = headers(
        ("X-Remote-User", name),
        *(("X-Remote-Group", g) for g in groups),
        *((f"X-Remote-Extra-{quote(k, safe='')}", v) for k, values in extra.items() for v in values),
    )
    assert user_of(sent, Trust()) == UserInfo(
        name, tuple(g for g in groups if g), extra={k: tuple(v) for k, v in extra.items()}
    )


@given(
    st.lists(st.tuples(st.sampled_from(["X-Remote-Group", "X-Remote-Extra-%", "X-Remote-Extra-%ff"]), VALUES))
)
def test_no_header_but_the_username_makes_a_user(pairs: list[tuple[str, str]]) -> None:
    assert user_of(headers(*pairs), Trust()) is None


@pytest.mark.parametrize("header", ["X-Remote-User", "X-Remote-Group", "X-Remote-Extra-Scopes"])
def test_bytes_that_are_no_utf8_name_nobody(header: str) -> None:
    """kube-apiserver would be asked about somebody else: no JSON carries what the proxy said."""
    with pytest.raises(UnauthorizedError, match="not UTF-8"):
        user_of(headers(("X-Remote-User", "alice"), (header, "\udcff")) if header != "X-Remote-User"
                else headers((header, "al\udcffice")), TRUST)  # fmt: skip


def test_a_bundle_that_cannot_be_read_leaves_the_one_of_before() -> None:
    source = TrustSource()
    good = make_ca("front-proxy-ca", 1_790_000_000_000_000_000).cert_pem
    source.replace(Trust(requestheader_ca_pem=good))
    before = source.current
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    source.replace(Trust(requestheader_ca_pem=broken))
    assert source.current == before
