"""The org's HTTP API, one module per area of the vendor's documentation."""

from troth_sandbox.salesforce.api.application import build_api

__all__ = ["build_api"]
