"""The demo, in three acts on an embedded stack of its own: an import, a rule that a new price list sets off, and a sync
whose credits end in the middle of it.

It does what a customer would, through the HTTP API, says at each step why it cost what it cost, and holds the figures
against what they have to be. Each act has a workspace of its own.
"""

from productsync.demo.play import run_demo

__all__ = ["run_demo"]
