"""Load on an HTTP server, from a process of its own: closed loop (clients that wait for their
answer before they ask again) and open loop (arrivals that don't care how the server does).
"""

from benchmarks.load.report import Report, loaded

__all__ = ["Report", "loaded"]
