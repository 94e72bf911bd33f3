"""The page that shows the document: Swagger UI, as it comes with Powertools, whole in one answer, so that a browser
asks nobody else for anything.

The policy names the page's own scripts and style by their digests; nothing that could ever get into the page runs.
Scripts may ask this API and no other host: for the document, and for what a reader tries out.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_LIBRARY = "aws_lambda_powertools.event_handler.openapi.swagger_ui"

_STYLE = "body{margin:0}.swagger-ui .topbar{display:none}"

_START = """\
SwaggerUIBundle({
  dom_id: "#page",
  url: new URL("openapi.json", window.location.href).href,
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis],
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  showExtensions: true,
  persistAuthorization: false,
  validatorUrl: null
});
"""

_HTML = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ProductSync API</title>
<style>{style}</style>
</head>
<body>
<div id="page"></div>
<noscript>This page needs JavaScript. The document that it shows is <a href="openapi.json">openapi.json</a>.</noscript>
<script>{library}</script>
<script>{start}</script>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class DocsPage:
    """A page, and the Content-Security-Policy that it works under."""

    html: str
    policy: str


@cache
def docs_page() -> DocsPage:
    """Made for the first who asks: 1.7 MB are read and hashed."""
    library = _file("swagger-ui-bundle.min.js")
    style = _file("swagger-ui.min.css") + _STYLE
    policy = (
        "default-src 'none'",
        f"script-src {_named(library)} {_named(_START)}",
        f"style-src {_named(style)}",
        # Icons, which the style holds itself.
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return DocsPage(_HTML.format(style=style, library=library, start=_START), "; ".join(policy))


def _file(name: str) -> str:
    spec = find_spec(_LIBRARY)
    if spec is None or spec.origin is None:
        raise AssertionError(f"Powertools comes without {_LIBRARY}")
    return Path(spec.origin).with_name(name).read_text(encoding="utf-8")


def _named(text: str) -> str:
    """A script or style, as a policy names it (CSP Level 3, "hash-source")."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
