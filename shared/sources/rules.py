"""What a definition's source may name at all, in this deployment and workspace: told when the feed is saved."""

from __future__ import annotations

from urllib.parse import urlsplit

from shared.feeds.definition import Problem
from shared.feeds.sources import HttpSource, PulledSource, S3Source
from shared.settings import SourceSettings
from shared.sources.addresses import MAX_HOST_CHARACTERS, is_host, literal, may_connect, refused_address


def problem_of(source: PulledSource | None, workspace_id: str, settings: SourceSettings) -> Problem | None:
    """What is wrong with the source, by its field; None when nothing is.

    Names of hosts are not looked up here: what they lead to counts when they are fetched from.
    """
    match source:
        case S3Source(bucket=bucket, key=key):
            if bucket not in settings.buckets:
                named = ", ".join(sorted(settings.buckets)) or "none"
                return Problem("source.bucket", f"feeds are read from the buckets of this deployment only ({named})")
            if not key.startswith(f"{workspace_id}/"):
                detail = f"a workspace reads its own folder only: the key begins with {workspace_id}/"
                return Problem("source.key", detail)
        case HttpSource(url=url):
            host = urlsplit(url).hostname or ""
            if not is_host(host):
                detail = f"no host can be called so; a name has at most {MAX_HOST_CHARACTERS} characters"
                return Problem("source.url", detail)
            address = literal(host)
            if address is not None and not may_connect(address, host, settings.hosts):
                return Problem("source.url", refused_address(host).detail)
    return None
