"""A cluster that stands in for a real one, on this machine alone.

Real TLS, real protocols, real numbers of this host's processes; simulated nodes only where asked for,
and then with a known load. It is for trying the server out and for tests, never for production.
"""
