"""The language of conditions and values: rule-engine's grammar, types and evaluation, with a smaller vocabulary.

docs/rules.md is its reference. What anybody may send is cut into words first, by a list of what is known, and counted
(words.py): so the parser never sees what is too long, too deep or not of the language. The parser's productions are
wrapped, so that each part knows where it stands (grammar.py, parts.py): whatever is wrong with it is said of that part,
when a rule is saved and on a record. What a part takes is decided by one table for both (checks.py).

Loading rule-engine and making its tables takes the better part of a second. That waits for the first expression that is
parsed: who only reads rules, or names kinds, never pays for it.
"""

from shared.rules.expressions.kinds import NOUNS, EvaluationFailed, ExpressionRefused, Kind, Missing, spoken
from shared.rules.expressions.parsing import Expression, names_in, parse
from shared.rules.expressions.values import CHARACTERS, MAX_BYTES, MAX_ELEMENTS, Subject
from shared.rules.expressions.words import MAX_CHARACTERS, MAX_DEPTH, MAX_NESTING, MAX_WORDS

__all__ = [
    "CHARACTERS",
    "MAX_BYTES",
    "MAX_CHARACTERS",
    "MAX_DEPTH",
    "MAX_ELEMENTS",
    "MAX_NESTING",
    "MAX_WORDS",
    "NOUNS",
    "EvaluationFailed",
    "Expression",
    "ExpressionRefused",
    "Kind",
    "Missing",
    "Subject",
    "names_in",
    "parse",
    "spoken",
]
