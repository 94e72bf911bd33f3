"""The command line of ProductSync, its client of the HTTP API, and the embedded stack.

Programs need `Client`, and `ApiProblem` for what the API refuses (productsync.client, productsync.failures).
"""

from productsync.client import Answer, Client, every
from productsync.failures import ApiProblem, CommandFailure, NotConnected, Unreachable, UploadFailed

__all__ = [
    "Answer",
    "ApiProblem",
    "Client",
    "CommandFailure",
    "NotConnected",
    "Unreachable",
    "UploadFailed",
    "every",
]
