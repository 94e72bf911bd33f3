"""The platform, running: the embedded stack on this machine, the artifacts, and the deployment to AWS.

`deploy.deploy` is the one way in: the embedded stack and AWS get the same template through the same code (design
section 10). `python -m productsync.stack` is what `make build` and `make deploy` call.
"""

from productsync.stack.embedded import EmbeddedStack
from productsync.stack.state import StackState

__all__ = ["EmbeddedStack", "StackState"]
