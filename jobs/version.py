"""The product's version, as installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("mmml-service")
except PackageNotFoundError:  # a source tree on the path, not installed
    VERSION = "0+unknown"
