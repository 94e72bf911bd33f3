"""What texts of requests look like, and how that is told: a regular expression would tell nobody.

The one place for it: a model only names its pattern, and `functions.api.problems` says the sentence. A test holds every
pattern of a request to having one.
"""

from functions.api.models.texts import NAME_PATTERN, SCHEDULE_NAME_PATTERN
from shared.feeds.fields import ENTITY_PATTERN
from shared.feeds.sources import BUCKET_PATTERN
from shared.ids import pattern_of
from shared.months import MONTH_PATTERN
from shared.schedules.scheduler import MAX_SCHEDULE_ID

NOT_BLANK = r"\S"
PRICE_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,12})?$"
CURRENCY_PATTERN = "^[A-Z]{3}$"
EMAIL_PATTERN = r"^[^@\s\x00-\x1f\x7f-\x9f\ufeff]+@[^@\s\x00-\x1f\x7f-\x9f\ufeff]+\.[^@\s\x00-\x1f\x7f-\x9f\ufeff]+$"
IDEMPOTENCY_KEY_PATTERN = r"^[\x20-\x7e]+$"
USERNAME_PATTERN = r"^[^:\x00-\x1f\x7f]+$"
HEADER_NAME_PATTERN = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
UPLOAD_PATTERN = pattern_of("up")

_NAME = "lower-case letters, digits, - and _, the first of them a letter or a digit"

SENTENCES = {
    NOT_BLANK: "Input should not be blank",
    PRICE_PATTERN: "Input should be an amount of money of at most 12 digits before the point and 12 after it, such as "
    "0.01: without a sign, a comma or a currency",
    CURRENCY_PATTERN: "Input should be a currency by its three capital letters, such as EUR",
    EMAIL_PATTERN: "Input should be an e-mail address",
    MONTH_PATTERN: "Input should be a month, such as 2026-11",
    IDEMPOTENCY_KEY_PATTERN: "Input should be of printable ASCII characters only",
    NAME_PATTERN: f"Input should be a name of at most 64 characters: {_NAME}",
    SCHEDULE_NAME_PATTERN: f"Input should be a name of at most {MAX_SCHEDULE_ID} characters: {_NAME}",
    ENTITY_PATTERN: "Input should be the name of an entity, such as product, of at most 32 characters: lower-case "
    "letters, digits and _, the first of them a letter",
    UPLOAD_PATTERN: "Input should be the upload_id of an upload, such as up_01KAMZB1R5P3M7S9V2X4Z6A8C0",
    BUCKET_PATTERN: "Input should be the name of a bucket, of 3 to 63 characters: lower-case letters, digits, dots and "
    "hyphens, the first and the last of them a letter or a digit",
    USERNAME_PATTERN: "Input should have no colon and no control characters",
    HEADER_NAME_PATTERN: "Input should be the name of a header: letters, digits and !#$%&'*+-.^_`|~",
}
"""What to say of a text that does not fit the pattern."""
