"""What each value of --kubelet-tls-verify believes, over real TLS: whose certificate is taken, and what a refusal says."""

import contextlib
import socket
import time
from collections.abc import Iterator, Sequence

import pytest
from cryptography import x509

from pymetrics_server.errors import FailureClass, KubeletError
from pymetrics_server.kubelet.tls import KubeletTLS, client_context
from pymetrics_server.kubelet.transport import KubeletTransport, TransportSettings
from pymetrics_server.meta.objects import Node, NodeAddress
from pymetrics_server.meta.verification import Verification
from pymetrics_server.x509 import Pair, issue, make_ca
from tests.fakes.certificates import certificate
from tests.kubelet.fake_kubelet import reply, server_context, serving

ADDRESS, NODE_NAME = Verification.ADDRESS, Verification.NODE_NAME
CHAIN, INSECURE = Verification.CHAIN, Verification.INSECURE
EVERY = (ADDRESS, NODE_NAME, CHAIN, INSECURE)
MISMATCH = FailureClass.TLS_NAME_MISMATCH

NOW_NS = time.time_ns()
CA = make_ca("kubelet-ca", NOW_NS)
OTHER_CA = make_ca("kubelet-ca", NOW_NS)
NAME = "ip-10-0-0-4.eu-west-1.compute.internal"


def named(*names: str, ca: Pair = CA) -> Pair:
    return issue(ca, "system:node:n", NOW_NS, hosts=names, server=True)


class NoToken:
    async def bearer_token(self) -> str | None:
        return None

    async def renew(self, refused: str | None) -> bool:
        return False


class Asking:
    """Of nodes, what verifies them as one of the values says."""

    def __init__(self, port: int, verify: Verification) -> None:
        settings = TransportSettings(
            preferred_address_types=("InternalIP", "ExternalIP"),
            port=port,
            use_node_status_port=False,
            request_timeout_ns=10**10,
            verifies_node_name=verify is NODE_NAME,
        )
        context = client_context(KubeletTLS(verify=verify, ca_pem=CA.cert_pem))
        self._transport = KubeletTransport(settings, lambda: context, NoToken())
        self.close = self._transport.close

    async def ask(self, name: str = NAME, addresses: Sequence[str] = ("127.0.0.1",)) -> bytes:
        kinds = ("InternalIP", "ExternalIP")
        found = tuple(NodeAddress(kind, address) for kind, address in zip(kinds, addresses, strict=False))
        node = Node(name=name, addresses=found)
        return await self._transport.get(node, "/", self._transport.deadline_s())

    async def refusal(self, name: str = NAME, addresses: Sequence[str] = ("127.0.0.1",)) -> KubeletError:
        with pytest.raises(KubeletError) as raised:
            await self.ask(name, addresses)
        assert "\n" not in raised.value.detail
        return raised.value


@contextlib.contextmanager
def asking(port: int, verify: Verification) -> Iterator[Asking]:
    with contextlib.closing(Asking(port, verify)) as found:
        yield found


async def outcomes(
    presented: Pair, name: str = NAME, host: str = "127.0.0.1"
) -> dict[Verification, FailureClass | None]:
    """Of asking a node of that name, at `host`, where this is presented: None where it is believed."""
    found: dict[Verification, FailureClass | None] = {}
    async with serving(reply(b"ok"), server_context(presented), host=host) as kubelet:
        for verify in EVERY:
            with asking(kubelet.port, verify) as asked:
                try:
                    assert await asked.ask(name, (host,)) == b"ok"
                    found[verify] = None
                except KubeletError as err:
                    found[verify] = err.failure
    return found


@pytest.mark.parametrize(
    ("names", "by_address", "by_name"),
    [
        ((NAME,), MISMATCH, None),
        (("127.0.0.1",), None, MISMATCH),
        ((NAME, "127.0.0.1"), None, None),
        (("another-node", "10.9.9.9"), MISMATCH, MISMATCH),
        ((), MISMATCH, MISMATCH),
    ],
    ids=["only the node", "only the address", "both", "another node's", "nothing"],
)
async def test_a_certificate_has_to_name_what_is_asked_of_it(
    names: Sequence[str], by_address: FailureClass | None, by_name: FailureClass | None
) -> None:
    expected = {ADDRESS: by_address, NODE_NAME: by_name, CHAIN: None, INSECURE: None}
    assert await outcomes(named(*names)) == expected


@pytest.mark.parametrize(
    "presented", [named(NAME, "127.0.0.1", ca=OTHER_CA), certificate(NAME, NOW_NS)], ids=["other", "itself"]
)
async def test_a_certificate_that_the_ca_did_not_sign_is_taken_by_insecure_alone(presented: Pair) -> None:
    unknown = FailureClass.TLS_UNKNOWN_ISSUER
    expected = {ADDRESS: unknown, NODE_NAME: unknown, CHAIN: unknown, INSECURE: None}
    assert await outcomes(presented) == expected


async def test_a_certificate_that_is_for_clients_is_taken_by_insecure_alone() -> None:
    """Else whoever has an account could answer in a kubelet's place."""
    account = issue(CA, "alice", NOW_NS, hosts=[NAME, "127.0.0.1"], client=True)
    other = FailureClass.TLS_OTHER
    assert await outcomes(account) == {ADDRESS: other, NODE_NAME: other, CHAIN: other, INSECURE: None}


async def test_a_certificate_out_of_date_is_taken_by_insecure_alone() -> None:
    old = issue(CA, "n", NOW_NS - 86400 * 10**10, hosts=[NAME, "127.0.0.1"], days=1)
    expired = FailureClass.TLS_EXPIRED
    assert await outcomes(old) == {ADDRESS: expired, NODE_NAME: expired, CHAIN: expired, INSECURE: None}


@pytest.mark.parametrize(
    ("name", "names", "is_taken"),
    [
        ("node-1", ("node-1",), True),
        ("node-1", ("NODE-1",), True),
        ("Node-1.Example", ("node-1.example",), True),
        ("a.b.c.example", ("a.b.c.example",), True),
        ("node-1", ("node-1.example",), False),
        ("node-1.example", ("node-1",), False),
        ("node-1.nodes.example", ("*.nodes.example",), True),
        ("node-1.example", ("*.example",), False),
        ("a.node-1.nodes.example", ("*.nodes.example",), False),
        ("node-1.nodes.example", ("node-*.nodes.example",), False),
        ("node-1", ("*",), False),
        ("10.0.0.4", ("10.0.0.4",), True),
        ("10.0.0.4", ("*.0.0.4",), False),
        ("fd00::4", ("fd00::4",), True),
        (f"{'n' * 80}.example", (f"{'n' * 80}.example",), True),
        ("n" * 253, ("n" * 253,), True),
        ("node-1", ("127.0.0.1",), False),
    ],
)
async def test_a_node_s_name_is_compared_as_a_host_s_is(
    name: str, names: Sequence[str], is_taken: bool
) -> None:
    """A wildcard is the whole first label of three or more; a name that is an IP is compared as one."""
    async with serving(reply(b"ok"), server_context(named(*names))) as kubelet:
        with asking(kubelet.port, NODE_NAME) as asked:
            if is_taken:
                assert await asked.ask(name) == b"ok"
            else:
                assert (await asked.refusal(name)).failure is MISMATCH


async def test_a_common_name_is_no_name_of_the_node() -> None:
    async with serving(reply(b"ok"), server_context(issue(CA, NAME, NOW_NS))) as kubelet:
        with asking(kubelet.port, NODE_NAME) as asked:
            assert (await asked.refusal()).failure is MISMATCH


@pytest.mark.parametrize("name", ["", "a b", "node\0", "-a", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"])
async def test_a_name_that_no_certificate_can_have_is_a_refusal_like_any_other(name: str) -> None:
    with asking(10250, NODE_NAME) as asked:
        err = await asked.refusal(name)
    assert err.failure is MISMATCH
    assert "--kubelet-tls-verify=address" in err.cure


@pytest.mark.parametrize(
    ("verify", "name", "asked_for"),
    [
        (NODE_NAME, "Node-1.example", "Node-1.example"),
        (NODE_NAME, "10.0.0.4", None),
        (ADDRESS, "node-1", None),
    ],
)
async def test_the_kubelet_is_told_whose_certificate_is_asked_for_unless_that_is_an_ip(
    verify: Verification, name: str, asked_for: str | None
) -> None:
    told: list[str | None] = []
    context = server_context(named("node-1.example", "10.0.0.4", "127.0.0.1"))
    context.sni_callback = lambda _socket, name, _context: told.append(name)
    async with serving(reply(b"ok"), context) as kubelet:
        with asking(kubelet.port, verify) as asked:
            await asked.ask(name)
    assert told == [asked_for]


async def test_an_ipv6_address_is_dialled_and_the_node_s_name_verified() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    believed = {ADDRESS: MISMATCH, NODE_NAME: None, CHAIN: None, INSECURE: None}
    assert await outcomes(named(NAME), host="::1") == believed
    assert (await outcomes(named("::1"), host="::1"))[ADDRESS] is None


async def test_a_refusal_says_what_was_looked_for_and_what_the_certificate_names() -> None:
    async with serving(reply(b"ok"), server_context(named("another-node", "10.9.9.9"))) as kubelet:
        with asking(kubelet.port, ADDRESS) as asked:
            by_address = await asked.refusal()
        with asking(kubelet.port, NODE_NAME) as asked:
            by_name = await asked.refusal()
    said = "mismatch, certificate is not valid for '{}': it names another-node, 10.9.9.9"
    assert by_address.detail == "IP address " + said.format("127.0.0.1")
    assert by_name.detail == "Hostname " + said.format(NAME)
    assert by_address.cure == MISMATCH.cure
    assert by_address.cure.startswith("set --kubelet-tls-verify=node-name if the certificate names the node")
    assert by_name.cure.startswith("set --kubelet-tls-verify=address if the certificate names the address")


@pytest.mark.parametrize(
    ("presented", "words"),
    [
        (named(), "it names none"),
        (
            named(*(f"{i}.example" for i in range(40))),
            "it names 0.example, 1.example, 2.example, 3.example, ",
        ),
        (named("x" * 240), f"it names {'x' * 20}"),
        (
            certificate(
                "n", NOW_NS, CA, extra=[(x509.SubjectAlternativeName([x509.RFC822Name("a@b.c")]), False)]
            ),
            "it names none",
        ),
        (
            certificate(
                "n", NOW_NS, CA, extra=[(x509.SubjectAlternativeName([x509.DNSName("a\x1b[2J\nb")]), False)]
            ),
            "it names a [2J b",
        ),
    ],
    ids=["none", "forty", "a long one", "a mailbox", "a terminal's commands"],
)
async def test_whatever_a_certificate_names_is_told_in_one_short_line(presented: Pair, words: str) -> None:
    async with serving(reply(b"ok"), server_context(presented)) as kubelet:
        with asking(kubelet.port, ADDRESS) as asked:
            err = await asked.refusal()
    assert err.failure is MISMATCH
    assert words in err.detail
    assert err.detail.isprintable()
    assert len(err.detail) < 250


async def test_a_node_that_took_over_another_s_address_is_proven_anew() -> None:
    async with serving(reply(b"ok"), server_context(named("node-a"))) as kubelet:
        with asking(kubelet.port, NODE_NAME) as asked:
            for _ in range(2):
                await asked.ask("node-a")
            assert kubelet.connections == 1
            assert (await asked.refusal("node-b")).failure is MISMATCH
    assert len(kubelet.heads) == 2


async def test_a_node_that_moved_is_dialled_anew_and_proven_by_its_name() -> None:
    async with serving(reply(b"ok"), server_context(named(NAME)), host="0.0.0.0") as kubelet:
        with asking(kubelet.port, NODE_NAME) as asked:
            for address in ("127.0.0.1", "127.0.0.1", "127.0.0.2"):
                await asked.ask(addresses=(address,))
    assert kubelet.connections == 2


@pytest.mark.parametrize(
    ("verify", "is_asked"), [(ADDRESS, True), (NODE_NAME, True), (CHAIN, False), (INSECURE, False)]
)
async def test_a_second_address_is_asked_only_where_the_node_proves_itself_there(
    verify: Verification, is_asked: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    both = ("127.0.0.1", "127.0.0.2")
    async with serving(
        reply(b"ok"), server_context(named(NAME, "127.0.0.2")), host="127.0.0.2", port=port
    ) as kubelet:
        with asking(port, verify) as asked:
            if is_asked:
                for _ in range(2):
                    assert await asked.ask(addresses=both) == b"ok"
            else:
                assert (await asked.refusal(addresses=both)).failure is FailureClass.REFUSED
    assert kubelet.connections == (1 if is_asked else 0)
