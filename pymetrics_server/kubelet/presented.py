"""The certificate that a kubelet presented in a handshake that failed: what it names, for whoever has to mend it.

Nothing of it is proven, and nothing is decided by it.
"""

import ssl
from itertools import islice

from cryptography import x509

_SHOWN = 8
_UNREADABLE = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def names_presented(secured: ssl.SSLSocket) -> str:
    """`it names a, 10.0.0.4`; "" where OpenSSL before 3.0 does not tell, or what was presented cannot be read."""
    presented = _leaf_der(secured)
    try:
        leaf = x509.load_der_x509_certificate(presented)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return "it names none"
    except _UNREADABLE:
        return ""
    found = [str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress)]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"it names {', '.join(islice(found, _SHOWN)) or 'none'}{more}"


def _leaf_der(secured: ssl.SSLSocket) -> bytes:
    """getpeercert refuses before a handshake is whole; the chain can be read. It became public in Python 3.13."""
    read = getattr(getattr(secured, "_sslobj", None), "get_unverified_chain", None)
    chain = read() if read is not None else None
    return ssl.PEM_cert_to_DER_cert(chain[0].public_bytes()) if chain else b""
