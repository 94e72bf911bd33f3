"""Credentials for the sources of feeds. They come in and never go out."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from functions.api.models.common import Request, View
from functions.api.models.texts import Time, told
from functions.api.patterns import HEADER_NAME_PATTERN, USERNAME_PATTERN
from shared.sources.credentials import (
    BasicCredentials,
    BearerCredentials,
    Credentials,
    CredentialsNote,
    HeaderCredentials,
)
from shared.times import to_rfc3339

_FIELDS = {"basic": ("username", "password"), "bearer": ("token",), "header": ("name", "value")}

_ALL_FIELDS = [name for fields in _FIELDS.values() for name in fields]

_SHAPES: dict[str, Any] = {
    "oneOf": [
        {
            "required": [*wanted],
            "properties": {"type": {"const": kind}}
            | {name: {"type": "string" if name in wanted else "null"} for name in _ALL_FIELDS},
        }
        for kind, wanted in _FIELDS.items()
    ]
}
"""Which fields each type has, for the document."""

_IN_A_HEADER: dict[str, JsonValue] = {"pattern": "^[!-~]([ -~]*[!-~])?$"}
"""What a header may hold, for the document. What else is sent is refused in words of our own, without the secret."""

_OUR_OWN = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "expect", "host", "if-modified-since", "if-none-match"),
        *("proxy-authorization", "range", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)
"""Headers that say how a file is asked for, and are no credentials."""


class CredentialsRequest(Request):
    """Credentials: `basic` with `username` and `password`, `bearer` with `token`, `header` with `name` and `value`."""

    model_config = ConfigDict(json_schema_extra=_SHAPES)

    type: Literal["basic", "bearer", "header"]
    username: Annotated[str | None, Field(max_length=256, pattern=USERNAME_PATTERN)] = None
    password: Annotated[SecretStr | None, Field(max_length=1024, json_schema_extra={"minLength": 1})] = None
    token: Annotated[SecretStr | None, Field(max_length=4096, json_schema_extra=_IN_A_HEADER)] = None
    name: Annotated[str | None, Field(max_length=128, pattern=HEADER_NAME_PATTERN)] = None
    value: Annotated[SecretStr | None, Field(max_length=4096, json_schema_extra=_IN_A_HEADER)] = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        wanted = _FIELDS[self.type]
        for field in _ALL_FIELDS:
            given = getattr(self, field)
            if given is None and field in wanted:
                raise _problem(field, f"{self.type} credentials have one")
            if given is not None and field not in wanted:
                raise _problem(field, f"{self.type} credentials have {' and '.join(wanted)}")
            if isinstance(given, SecretStr):
                _check_secret(field, given.get_secret_value(), is_header=field != "password")
        if self.name is not None and self.name.lower() in _OUR_OWN:
            raise _problem("name", "this header says how a file is asked for, and is no credential")
        return self

    def credentials(self) -> Credentials:
        """What they are."""
        match self:
            case CredentialsRequest(username=str() as username, password=SecretStr() as password):
                return BasicCredentials(username=username, password=password.get_secret_value())
            case CredentialsRequest(token=SecretStr() as token):
                return BearerCredentials(token=token.get_secret_value())
            case CredentialsRequest(name=str() as name, value=SecretStr() as value):
                return HeaderCredentials(name=name, value=value.get_secret_value())
            case _:
                raise AssertionError("credentials that are whole are of a known type")


def _check_secret(field: str, text: str, *, is_header: bool) -> None:
    """What goes into a header as it is has to be what a header may hold; a password is encoded."""
    if not text:
        raise _problem(field, "it is empty")
    if is_header and not (text.isascii() and text.isprintable() and text == text.strip()):
        raise _problem(field, "it has to be of printable ASCII characters, without blanks around it")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise _problem(field, "it holds half of a character (a lone surrogate)")


def _problem(field: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("definition", "{field}: {message}", {"field": field, "message": message})


class CredentialsView(View):
    """What is known of a feed's credentials: everything but the secret."""

    type: Annotated[str, told("basic", enum=list(_FIELDS))]
    username: Annotated[str | None, told("acme")]
    name: Annotated[str | None, Field(description="Of the header; null for other types."), told(None)]
    origin: Annotated[str, Field(description="The only place that they are sent to."), told("https://supplier.example")]
    updated_at: Time

    @classmethod
    def of(cls, note: CredentialsNote) -> Self:
        return cls(
            type=note.type,
            username=note.username,
            name=note.header,
            origin=note.origin,
            updated_at=to_rfc3339(note.updated_at),
        )
