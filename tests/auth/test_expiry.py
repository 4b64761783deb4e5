"""The end of the front proxy's certificate and of its CA, told of before it comes."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from pymetrics_server.auth.authenticator import Authenticator
from pymetrics_server.auth.expiry import Expiry
from pymetrics_server.auth.trust import Trust, TrustSource
from tests.auth.test_authenticator import Reviewer
from tests.fakes.certificates import authority, certificate, der
from tests.fakes.clock import FakeClock

CLOCK = FakeClock()
NOW_NS = CLOCK.now_ns()
DAY_S = 86_400
WARNING = "front-proxy certificate or its CA ends soon"
CA = certificate("front-proxy-ca", NOW_NS, ca=True, may_sign=True, ends_in_h=24 * 365)
CLIENTS = authority("clients", NOW_NS)
TRUST = Trust(requestheader_ca_pem=CA.cert_pem, client_ca_pem=CLIENTS.cert_pem)
ALICE = CIMultiDictProxy(CIMultiDict({"X-Remote-User": "alice"}))


class Gauges:
    def __init__(self) -> None:
        self.certificate_s = self.ca_s = -1.0
        self.remaining_s: list[float] = []

    def set_front_proxy_expiration(self, certificate_s: float, ca_s: float) -> None:
        self.certificate_s, self.ca_s = certificate_s, ca_s

    def observe_client_certificate(self, remaining_s: float) -> None:
        self.remaining_s.append(remaining_s)


class Door:
    def __init__(self, trust: Trust = TRUST) -> None:
        self.clock = FakeClock()
        self.gauges = Gauges()
        self.expiry = Expiry(self.gauges)
        self.trust = trust
        self.authenticator = Authenticator(TrustSource(trust), Reviewer(), self.clock, expiry=self.expiry)

    async def asked_by(self, chain_der: tuple[bytes, ...]) -> None:
        await self.authenticator.authenticate(ALICE, chain_der)

    def look(self) -> None:
        self.expiry.look(self.trust.requestheader_ca_pem, self.clock.now_ns())


def proxy(days: float) -> tuple[bytes, ...]:
    return der(certificate("front-proxy-client", NOW_NS, CA, ends_in_h=24 * days))


async def test_gauges_tell_when_the_proxys_certificate_and_the_last_ca_end() -> None:
    door = Door()
    door.look()
    assert door.gauges.certificate_s == 0
    assert door.gauges.ca_s == NOW_NS // 1_000_000_000 + 365 * DAY_S
    await door.asked_by(proxy(100))
    await door.asked_by(proxy(50))  # of another kube-apiserver
    await door.clock.advance(61)
    door.look()
    assert door.gauges.certificate_s == NOW_NS // 1_000_000_000 + 50 * DAY_S


async def test_a_certificate_that_was_renewed_is_forgotten_within_an_hour() -> None:
    door = Door()
    await door.asked_by(proxy(50))
    await door.clock.advance(3_000)
    await door.asked_by(proxy(100))
    await door.clock.advance(601)
    door.look()
    assert door.gauges.certificate_s == NOW_NS // 1_000_000_000 + 100 * DAY_S


async def test_the_end_is_warned_of_once_each_thirty_seven_and_one_day_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    door = Door()
    for day in range(40):
        for _ in range(3):
            await door.asked_by(proxy(40))
            door.look()
            await door.clock.advance(61)
        expected = sum(day >= 40 - before for before in (30, 7, 1))
        assert caplog.text.count(WARNING) == expected, day
        await door.clock.advance(DAY_S - 3 * 61)


async def test_a_ca_near_its_end_is_warned_of_unless_a_later_one_stands_beside_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    old = certificate("old-ca", NOW_NS, ca=True, may_sign=True, ends_in_h=12)
    Door(Trust(requestheader_ca_pem=old.cert_pem + CA.cert_pem)).look()
    assert WARNING not in caplog.text
    Door(Trust(requestheader_ca_pem=old.cert_pem)).look()
    assert caplog.text.count(WARNING) == 1


async def test_the_remaining_life_of_users_certificates_is_observed_per_request() -> None:
    door = Door()
    await door.asked_by(der(certificate("bob", NOW_NS, CLIENTS, ends_in_h=2)))
    await door.asked_by(proxy(50))
    assert door.gauges.remaining_s == [7200]
