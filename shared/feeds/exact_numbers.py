"""Numbers as DynamoDB keeps them: exactly, within 38 significant digits and its range; never floats."""

from __future__ import annotations

from decimal import Decimal

MAX_DIGITS = 38
_LARGEST_EXPONENT = 125
_SMALLEST_EXPONENT = -130


class NotANumberHere(ValueError):
    """A number that cannot be kept exactly; the text says why."""


def checked(number: int | Decimal) -> int | Decimal:
    """The number, if DynamoDB can keep it exactly. Raises NotANumberHere (AWS documentation, "Data types": number)."""
    if isinstance(number, int):
        if -(10**MAX_DIGITS) < number < 10**MAX_DIGITS:
            return number
        number = Decimal(number)
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise NotANumberHere(f"{number} is not a number that can be kept")
    significant = len(digits)
    while significant > 1 and digits[significant - 1] == 0:
        significant -= 1
    if digits[:significant] in {(0,), ()}:
        # DynamoDB refuses a zero whose exponent is out of its range, and Decimal keeps any: 0e999999999.
        plain = not sign and len(digits) <= MAX_DIGITS and _SMALLEST_EXPONENT <= exponent <= _LARGEST_EXPONENT
        return number if plain else Decimal(0)
    if significant > MAX_DIGITS:
        raise NotANumberHere(f"a number of {significant} digits; at most {MAX_DIGITS} can be kept exactly")
    if not _SMALLEST_EXPONENT <= exponent + len(digits) - 1 <= _LARGEST_EXPONENT:
        raise NotANumberHere(f"a number beyond the range of 1E{_SMALLEST_EXPONENT} to 1E{_LARGEST_EXPONENT}")
    if len(digits) > MAX_DIGITS:
        return Decimal((sign, digits[:significant], exponent + len(digits) - significant))
    return number


def parse_decimal(text: str) -> Decimal:
    """A plain decimal number such as "-12.50" or "1e3". Raises NotANumberHere."""
    try:
        # Python also reads 1_000.
        return Decimal(checked(Decimal(text.replace("_", "?"))))
    except ArithmeticError:
        raise NotANumberHere("not a number") from None


def as_text(number: int | Decimal) -> str:
    """The number as a key spells it: equal numbers alike, without exponents or trailing zeros (1001.0 is "1001")."""
    if isinstance(number, int):
        return str(number)
    spelled = f"{number:f}"
    return spelled.rstrip("0").rstrip(".") if "." in spelled else spelled
