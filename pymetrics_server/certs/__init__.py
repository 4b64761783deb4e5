"""`pymetrics-server certs`: making the certificates that a cluster's metrics need, and looking at those it has.

Files, argv and words; the certificates themselves are x509's.
"""
