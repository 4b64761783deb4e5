"""Kubernetes' value types and grammars: what travels between the rooms.

Plain values: no I/O, no clock, no knowledge of who makes or reads them.
"""
