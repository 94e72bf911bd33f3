"""The platform, running: the embedded stack on this machine, the artifacts, and the deployment to AWS.

`deploy` is the one way in: the embedded stack and AWS get the same template through the same code (design section 10).
"""

from productsync.stack.deploy import Deployment, deploy
from productsync.stack.embedded import EmbeddedStack
from productsync.stack.state import StackState

__all__ = ["Deployment", "EmbeddedStack", "StackState", "deploy"]
