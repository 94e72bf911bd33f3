"""The OpenAPI document: `openapi.json` beside this, made of what the routes and their models say of themselves (`make
openapi`), and the page that shows it. What makes the document is not loaded by a deployed function.
"""

from pathlib import Path

PATH = Path(__file__).with_name("openapi.json")
"""The document as it is kept, and answered."""
