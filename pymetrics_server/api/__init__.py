"""The HTTP room: routes, discovery, negotiation, encoders, health and /metrics.

`App` answers one aiohttp request at a time; what it reads from other rooms stands in `interfaces`. Documents
are encoded by plain functions and reach the socket as bytes.
"""
