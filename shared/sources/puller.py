"""Fetching a feed's file from wherever its definition says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from shared.feeds.definition import FeedDefinition, resolve
from shared.feeds.sources import HttpSource, PulledSource, S3Source
from shared.ids import fingerprint
from shared.settings import SourceSettings
from shared.sources.credentials import CredentialStore, Secret
from shared.sources.errors import SourceFailed
from shared.sources.fetching import FetchOutcome, Patience, Validators
from shared.sources.http import HttpRequest, fetch_http
from shared.sources.rules import problem_of
from shared.sources.s3 import S3Request, fetch_s3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Errand:
    """A file to be fetched: for whom, from where, and with what.

    `fingerprint` tells whether validators of an earlier file say anything of this one: they do when neither the
    definition nor the credentials have changed.
    """

    workspace_id: str
    source: PulledSource
    secret: Secret | None
    reads_markup: bool
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Puller:
    """What fetching takes. `max_bytes` bounds a file."""

    s3: S3Client
    credentials: CredentialStore
    settings: SourceSettings
    max_bytes: int
    patience: Patience = field(default_factory=Patience)

    def errand(self, workspace_id: str, feed_id: str, definition: FeedDefinition) -> Errand:
        """What there is to fetch for a feed whose definition pulls. Raises botocore's errors."""
        source = definition.pulled
        if source is None:
            raise AssertionError(f"feed {feed_id} has nothing to pull from")
        secret = self.credentials.secret(workspace_id, feed_id) if isinstance(source, HttpSource) else None
        return Errand(
            workspace_id,
            source,
            secret,
            "xml" in resolve(definition).format.types,
            fingerprint(definition.model_dump_json(), secret.version if secret else ""),
        )

    def fetch(self, errand: Errand, target: Path, known: Validators | None) -> FetchOutcome:
        """Fetches the file into `target`, unless it is still the one that `known` is of. Raises SourceFailed, and
        botocore's errors.
        """
        problem = problem_of(errand.source, errand.workspace_id, self.settings)
        if problem is not None:
            # It was allowed when the feed was saved; the deployment has changed its mind.
            raise SourceFailed("source_address_refused", problem.message)
        match errand.source:
            case HttpSource(url=url):
                request = HttpRequest(
                    url=url,
                    limit=self.max_bytes,
                    named_hosts=self.settings.hosts,
                    known=known,
                    secret=errand.secret,
                    reads_markup=errand.reads_markup,
                )
                return fetch_http(request, target, self.patience)
            case S3Source(bucket=bucket, key=key):
                wanted = S3Request(bucket=bucket, key=key, limit=self.max_bytes, known=known)
                return fetch_s3(self.s3, wanted, target, self.patience)
            case _:
                assert_never(errand.source)
