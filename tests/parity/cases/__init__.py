"""All that is asked, by what it is about."""

from itertools import chain

from tests.parity.cases import forms, pages, parameters, routes, selectors, tables, transport, users
from tests.parity.requests import Request

_MODULES = (routes, forms, tables, selectors, parameters, transport, pages, users)


def all_requests() -> list[Request]:
    """Each once, where two modules ask the same."""
    asked = chain.from_iterable(module.requests() for module in _MODULES)
    return list({request.name: request for request in asked}.values())
