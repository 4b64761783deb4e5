"""The composition root: builds each room once, joins them, starts and ends them. Nothing else knows two rooms.

The order of the start: what can be wrong with flags and files first; then the port; then everything that
waits for the cluster. The port answers from the first moment: until kube-apiserver has told of the nodes,
/readyz says what is missing instead of hanging.
"""

import asyncio
import os
import signal
from pathlib import Path

from prometheus_client import CollectorRegistry

from pymetrics_server.api.app import App
from pymetrics_server.api.health import Check
from pymetrics_server.auth.authenticator import Authenticator
from pymetrics_server.auth.authorizer import Authorizer
from pymetrics_server.auth.trust import Trust, TrustSource
from pymetrics_server.clock import Clock, SystemClock
from pymetrics_server.log import Logger
from pymetrics_server.options import Options
from pymetrics_server.scraper import Scraper
from pymetrics_server.store import Store
from pymetrics_server.telemetry import Telemetry
