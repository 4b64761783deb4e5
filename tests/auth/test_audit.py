"""The trail of who was turned away: enough to find out why, never a flood, never a secret."""

import pytest

from pymetrics_server.auth.audit import AuditTrail
from pymetrics_server.auth.authenticator import Authenticator
from pymetrics_server.auth.trust import Trust, TrustSource
from pymetrics_server.errors import ApiserverError, UnauthorizedError
from pymetrics_server.meta.identity import UserInfo
from tests.auth.test_authenticator import Answer, bearer, headers
from tests.fakes.certificates import authority, certificate, der
from tests.fakes.clock import FakeClock

CLOCK = FakeClock()
CA = authority("front-proxy-ca", CLOCK.now_ns())
CHAIN = der(certificate("kubelet", CLOCK.now_ns(), CA))
MINUTE_S = 60


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def trail(clock: FakeClock) -> AuditTrail:
    return AuditTrail(clock, max_entries=3)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [r.__dict__["kv"] for r in caplog.records if r.getMessage() == "Refused a request"]


async def test_the_same_refusal_of_the_same_peer_is_told_once_and_again_after_a_while(
    trail: AuditTrail, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        trail.refused(401, "not in the allowed list", "10.0.0.1", CHAIN)
    assert len(lines(caplog)) == 1
    await clock.advance(10 * MINUTE_S)
    trail.refused(401, "not in the allowed list", "10.0.0.1", CHAIN)
    assert len(lines(caplog)) == 2


def test_a_line_names_user_peer_and_the_certificate_with_its_issuer(
    trail: AuditTrail, caplog: pytest.LogCaptureFixture
) -> None:
    trail.refused(401, "why", "10.0.0.1", CHAIN)
    trail.refused(403, "why not", "10.0.0.2", (), "bob", "get /metrics")
    trail.refused(403, "why not", "10.0.0.2", (), "bob", "get /made-up")
    with_certificate, without = lines(caplog)
    assert str(with_certificate["certificate"]).startswith(
        "CN=kubelet, issued by CN=front-proxy-ca, valid until "
    )
    assert "user" not in with_certificate
    assert without == {
        "code": 403,
        "reason": "why not",
        "peer": "10.0.0.2",
        "user": "bob",
        "asked": "get /metrics",
        "certificate": "none shown",
    }


def test_another_reason_peer_user_or_certificate_is_another_line(caplog: pytest.LogCaptureFixture) -> None:
    trail = AuditTrail(FakeClock())
    trail.refused(401, "a", "10.0.0.1", ())
    trail.refused(401, "b", "10.0.0.1", ())
    trail.refused(401, "a", "10.0.0.2", ())
    trail.refused(401, "a", "10.0.0.1", (), "bob")
    trail.refused(401, "a", "10.0.0.1", CHAIN)
    assert len(lines(caplog)) == 5


def test_an_expired_certificate_is_told_once_although_its_reason_names_the_moment(
    trail: AuditTrail, caplog: pytest.LogCaptureFixture
) -> None:
    for second in range(5):
        trail.refused(401, f"x509: expired: current time 2026-01-01T00:00:0{second}Z is after x", "p", CHAIN)
    assert len(lines(caplog)) == 1


async def test_however_many_come_memory_and_log_stay_bounded(
    trail: AuditTrail, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1000):
        trail.refused(401, "why", f"10.0.{number}.1", ())
    assert len(trail) == len(lines(caplog)) == 3
    assert caplog.text.count("Too many kinds of refused requests") == 1
    await clock.advance(10 * MINUTE_S)
    trail.refused(401, "why", "10.0.0.99", ())
    assert len(lines(caplog)) == 4
    assert len(trail) == 1


def test_bytes_that_are_no_certificate_and_no_utf_8_are_told_of_all_the_same(
    trail: AuditTrail, caplog: pytest.LogCaptureFixture
) -> None:
    trail.refused(401, "\udce4", "10.0.0.1", (b"nonsense",), "\udce4")
    assert "malformed certificate" in str(lines(caplog)[0]["certificate"])


class Quoting:
    """A judge who quotes the token."""

    async def token_review(self, token: str) -> Answer:
        if token.startswith("down"):
            raise ApiserverError(f'cannot judge "{token}"')
        return Answer(None, f"token {token} is unknown")


@pytest.mark.parametrize("token", ["down-s3cret", "s3cret"])
async def test_a_token_is_never_told_of_even_where_its_judge_quotes_it(
    trail: AuditTrail, caplog: pytest.LogCaptureFixture, token: str
) -> None:
    who = Authenticator(TrustSource(), Quoting(), FakeClock())
    with pytest.raises(UnauthorizedError) as refused:
        await who.authenticate(bearer(token), ())
    trail.refused(401, str(refused.value), "10.0.0.1", ())
    assert len(lines(caplog)) == 1
    assert "s3cret" not in str([r.__dict__ for r in caplog.records])


async def test_what_a_refused_front_proxy_claims_is_not_told(
    trail: AuditTrail, caplog: pytest.LogCaptureFixture
) -> None:
    trust = TrustSource(Trust(requestheader_ca_pem=CA.cert_pem, allowed_names=("front-proxy-client",)))
    who = Authenticator(trust, Quoting(), FakeClock())
    sent = headers(("X-Remote-User", "s3cret"), ("X-Remote-Extra-Token", "s3cret"))
    with pytest.raises(UnauthorizedError) as refused:
        await who.authenticate(sent, CHAIN)
    trail.refused(401, str(refused.value), "10.0.0.1", CHAIN)
    assert "cn=kubelet is not in the allowed list" in str(lines(caplog))
    assert "s3cret" not in str([r.__dict__ for r in caplog.records])
    assert UserInfo("s3cret").name not in caplog.text
