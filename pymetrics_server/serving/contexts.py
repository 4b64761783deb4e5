"""The TLS contexts that new connections begin with: one of each certificate, all asking for the same clients' CAs.

A connection takes its whole context at the start, so that nothing of an older one is left in it; SNI then
exchanges the certificate alone. Which certificate is meant follows kube-apiserver: names given with the files
go before names found in certificates, earlier flags before later ones, `*` stands for a first label, and a
client that sends no name gets what is named by the address it came to.
"""

import ssl
from collections.abc import Sequence

from pymetrics_server.log import Logger
from pymetrics_server.serving.certificates import ServingCertificate, names_in
from pymetrics_server.serving.tls import PairError, ServerContext, context_of
from pymetrics_server.x509 import Pair

log = Logger(__name__)

_MOST_SESSIONS = 1000


class ServingContexts:
    """Raises ConfigError where a name of a version or cipher is unknown; the certificates were proven when made."""

    def __init__(
        self,
        certificate: ServingCertificate,
        sni: Sequence[ServingCertificate],
        *,
        min_version: str,
        cipher_suites: Sequence[str],
    ) -> None:
        self._certificates = (certificate, *sni)
        self._seen = [c.signature() for c in self._certificates]
        self._pairs = [c.read() for c in self._certificates]
        self._min_version = min_version
        self._cipher_suites = tuple(cipher_suites)
        self.ca_der: tuple[bytes, ...] = ()
        self._main, self._by_name = self._build(self._pairs, self.ca_der)

    @property
    def pair(self) -> Pair:
        """What is shown to those who name nobody else."""
        return self._pairs[0]

    def of_address(self, local_ip: str) -> ssl.SSLContext:
        return self._by_name.get(local_ip, self._main)

    def set_ca(self, ca_der: Sequence[bytes]) -> None:
        """Raises ssl.SSLError and leaves all as it was."""
        taken = tuple(ca_der)
        self._main, self._by_name = self._build(self._pairs, taken)
        self.ca_der = taken

    def forget_sessions(self) -> bool:
        """Once there are many. TLS 1.2's are remembered in the context, 20,000 of them, and Python cannot say no."""
        contexts = {self._main, *self._by_name.values()}
        if sum(c.session_stats()["number"] for c in contexts) < _MOST_SESSIONS:
            return False
        self._main, self._by_name = self._build(self._pairs, self.ca_der)
        return True

    def is_current(self, connection: ssl.SSLObject) -> bool:
        """Whether its client was asked for a certificate of the CAs of now."""
        context = connection.context
        return isinstance(context, ServerContext) and context.ca_der is self.ca_der

    def reload_if_changed(self) -> bool:
        """Whether anything was taken up. A pair half written is left for the next call, and said once."""
        pairs = list(self._pairs)
        changed: list[ServingCertificate] = []
        for number, certificate in enumerate(self._certificates):
            signature = certificate.signature()
            if signature == self._seen[number]:
                continue
            self._seen[number] = signature
            try:
                pairs[number] = _proven(certificate)
            except (OSError, PairError) as err:
                log.error(
                    "Keeping the serving certificate of before: the new one cannot be used",
                    err,
                    file=certificate.cert_file,
                )
                continue
            changed.append(certificate)
        if not changed:
            return False
        self._main, self._by_name = self._build(pairs, self.ca_der)
        self._pairs = pairs
        for certificate in changed:
            log.info("Serving certificate taken up", file=certificate.cert_file)
        return True

    def _build(
        self, pairs: Sequence[Pair], ca_der: tuple[bytes, ...]
    ) -> tuple[ServerContext, dict[str, ServerContext]]:
        main, *others = (
            context_of(pair, ca_der=ca_der, min_version=self._min_version, cipher_suites=self._cipher_suites)
            for pair in pairs
        )
        found: dict[str, ServerContext] = {}
        given: dict[str, ServerContext] = {}
        named = list(zip(self._certificates[1:], pairs[1:], others, strict=True))
        for certificate, pair, context in reversed(named):
            given |= dict.fromkeys(map(str.lower, certificate.names), context)
            if not certificate.names:
                found |= dict.fromkeys(map(str.lower, names_in(pair)), context)
        by_name = found | given
        if by_name:

            def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
                if name:
                    connection.context = _named(name.lower(), by_name) or main

            for context in (main, *others):
                context.sni_callback = choose
        return main, by_name


def _proven(certificate: ServingCertificate) -> Pair:
    pair = certificate.read()
    context_of(pair)
    return pair


def _named(name: str, by_name: dict[str, ServerContext]) -> ServerContext | None:
    first_label, _, _ = name.partition(".")
    return by_name.get(name) or by_name.get("*" + name[len(first_label) :])
