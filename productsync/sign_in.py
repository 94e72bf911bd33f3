"""Signing in as a person: at the deployment's Cognito user pool, whose ID token is then shown to the API like a key.

What is remembered is in one file that only its owner may read, and is never sent to another API than the one that it
was made for. A password is never kept, and never an argument of a command.
"""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from productsync.failures import CommandFailure, NotConnected, Unreachable
from productsync.files import read_state, write_secret_file
from productsync.transport import TIMEOUT, loopback_mounts

FILE_NAME = "sign-in.json"

_RENEW_BEFORE_SECONDS = 60.0


class SignInRefused(CommandFailure):
    """The user pool said no."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__("Cannot sign in", message or code)


@dataclass(frozen=True, slots=True)
class AppClient:
    """Where people sign in: an app client of a user pool. `endpoint` is where an embedded AWS answers."""

    pool_id: str
    client_id: str
    endpoint: str | None = None

    @classmethod
    def parse(cls, text: str, endpoint: str | None = None) -> "AppClient":
        """Reads `eu-central-1_AbCd/1example2client3id`, the output SignIn of a deployment. Raises NotConnected."""
        pool_id, separator, client_id = text.strip().partition("/")
        region, underscore, _ = pool_id.partition("_")
        if not (separator and underscore and region and client_id) or not region.replace("-", "").isalnum():
            raise NotConnected(
                f"{text!r} is no place to sign in", hint="It is the output SignIn of the deployment (docs/deploy.md)."
            )
        return cls(pool_id, client_id, endpoint)

    @property
    def url(self) -> str:
        """Where the user pool answers."""
        region, _, _ = self.pool_id.partition("_")
        return self.endpoint or f"https://cognito-idp.{region}.amazonaws.com/"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A sign-in that is remembered. It is for the API at `endpoint` alone; `expires_at` is in seconds of the epoch."""

    endpoint: str
    email: str
    place: AppClient
    id_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: float

    def is_fresh(self, now: float) -> bool:
        return now < self.expires_at - _RENEW_BEFORE_SECONDS


@dataclass(frozen=True, slots=True)
class NewPasswordWanted:
    """The password was a temporary one: they have to choose their own. `session` goes on from here."""

    session: str = field(repr=False)
    username: str


class UserPool:
    """The few calls of a user pool that signing in takes. All raise SignInRefused, or Unreachable without an answer."""

    def __init__(self, place: AppClient, *, transport: httpx.BaseTransport | None = None) -> None:
        self._place = place
        self._transport = transport

    def sign_in(self, email: str, password: str) -> dict[str, Any] | NewPasswordWanted:
        """Cognito's tokens, or what it wants before it gives them."""
        parameters = {"USERNAME": email, "PASSWORD": password}
        answer = self._call("InitiateAuth", {"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters})
        if answer.get("ChallengeName") == "NEW_PASSWORD_REQUIRED":
            username = answer.get("ChallengeParameters", {}).get("USER_ID_FOR_SRP", email)
            return NewPasswordWanted(answer["Session"], username)
        return self._tokens(answer)

    def choose_password(self, wanted: NewPasswordWanted, password: str) -> dict[str, Any]:
        """Sets the person's own password, and signs in with it."""
        responses = {"USERNAME": wanted.username, "NEW_PASSWORD": password}
        challenge = {"ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": wanted.session}
        return self._tokens(self._call("RespondToAuthChallenge", {**challenge, "ChallengeResponses": responses}))

    def renew(self, refresh_token: str) -> dict[str, Any]:
        """New tokens, without a password."""
        parameters = {"REFRESH_TOKEN": refresh_token}
        return self._tokens(
            self._call("InitiateAuth", {"AuthFlow": "REFRESH_TOKEN_AUTH", "AuthParameters": parameters})
        )

    def sign_out(self, refresh_token: str) -> None:
        """Nobody gets another token for this sign-in. Tokens that were given are good until they expire."""
        self._call("RevokeToken", {"Token": refresh_token})

    def _tokens(self, answer: dict[str, Any]) -> dict[str, Any]:
        if "AuthenticationResult" not in answer:
            raise SignInRefused(
                str(answer.get("ChallengeName")), f"the user pool asks for {answer.get('ChallengeName')}, unknown here"
            )
        return dict(answer["AuthenticationResult"])

    def _call(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {
            "X-Amz-Target": f"AWSCognitoIdentityProviderService.{action}",
            "Content-Type": "application/x-amz-json-1.1",
        }
        content = json.dumps({"ClientId": self._place.client_id, **body})
        # What is on this machine bypasses any proxy of the environment; a given transport takes everything.
        mounts = None if self._transport else loopback_mounts()
        try:
            with httpx.Client(transport=self._transport, mounts=mounts, timeout=TIMEOUT) as http:
                response = http.post(self._place.url, content=content, headers=headers)
            answer = json.loads(response.text or "{}")
        except (httpx.TransportError, ValueError) as error:
            raise Unreachable(f"No answer from the user pool at {self._place.url}", str(error)) from error
        if not response.is_success:
            code = str(answer.get("__type", "")).rpartition("#")[2]
            raise SignInRefused(code, str(answer.get("message", "")))
        return dict(answer)


def signed_in(
    endpoint: str, email: str, place: AppClient, tokens: dict[str, Any], *, now: float, refresh_token: str = ""
) -> SignedIn:
    """A sign-in to remember. A renewal brings no new refresh token: the one at hand stays."""
    return SignedIn(
        endpoint=endpoint,
        email=email,
        place=place,
        id_token=tokens["IdToken"],
        refresh_token=tokens.get("RefreshToken") or refresh_token,
        expires_at=now + float(tokens["ExpiresIn"]),
    )


def remembered(directory: Path, endpoint: str) -> SignedIn | None:
    """The sign-in to this API that is remembered, if there is one."""
    document = read_state(directory / FILE_NAME)
    if document is None or document.get("endpoint") != endpoint:
        return None
    try:
        return SignedIn(**{**document, "place": AppClient(**document["place"])})
    except (KeyError, TypeError):
        return None


def remember(directory: Path, sign_in: SignedIn) -> Path:
    """Keeps the sign-in for the commands that follow; only its owner may read the file (mode 0600)."""
    path = directory / FILE_NAME
    write_secret_file(path, json.dumps(asdict(sign_in), indent=2) + "\n")
    return path


def forget(directory: Path) -> None:
    """Forgets the sign-in, if there is one."""
    (directory / FILE_NAME).unlink(missing_ok=True)


def fresh(directory: Path, sign_in: SignedIn, *, pool: UserPool | None = None, now: float | None = None) -> SignedIn:
    """The sign-in with a token that is good for a while; renewed and remembered if need be.

    One that cannot be renewed stays as it is: the API refuses its token, if it is shown it at all.
    """
    at = time.time() if now is None else now
    if sign_in.is_fresh(at):
        return sign_in
    try:
        tokens = (pool or UserPool(sign_in.place)).renew(sign_in.refresh_token)
    except (SignInRefused, Unreachable):
        return sign_in
    renewed = signed_in(
        sign_in.endpoint, sign_in.email, sign_in.place, tokens, now=at, refresh_token=sign_in.refresh_token
    )
    remember(directory, renewed)
    return renewed
