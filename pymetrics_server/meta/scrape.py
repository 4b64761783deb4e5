"""How one node answers its scrapes: what the scraper keeps and the status page shows."""

import msgspec

from pymetrics_server.errors import FailureClass


class ScrapeState(msgspec.Struct, frozen=True):
    """Instants are monotonic, None where there was none."""

    last_success_ns: int | None = None
    failing_since_ns: int | None = None
    failure: FailureClass | None = None
    detail: str = ""
    cure: str = ""
    attempts: int = 0  # failed ones since it last answered


class NodeScrape(msgspec.Struct, frozen=True):
    node: str
    endpoint: str  # what the next scrape asks first: summary or resource
    state: ScrapeState
