"""What is wrong with a request's body: the first fault that pydantic found, at its place, in the house's words."""

from __future__ import annotations

from pydantic import ValidationError

from llm_router.errors import InvalidRequestError

TEXT, PARTS = "[text]", "[parts]"
"""What the two forms of a message's content are called in a fault's place, in the manner of pydantic's `[key]`."""

NAME_SHOWN_AT_MOST = 100

_KEY = "[key]"
_NO_FIELDS = frozenset({TEXT, PARTS, _KEY})

_WORDS = {
    "missing": "{field} is required.",
    "extra_forbidden": "{field} is not a known field.",
    "string_type": "{field} must be a string.",
    "string_unicode": "{field} holds text that is not valid Unicode.",
    "string_too_short": "{field} must not be empty.",
    "string_too_long": "{field} must have at most {max_length:,} characters.",
    "bool_type": "{field} must be true or false.",
    "int_type": "{field} must be a whole number.",
    "number_type": "{field} must be a number.",
    "decimal_type": "{field} must be a number.",
    "decimal_parsing": "{field} must be a number.",
    "finite_number": "{field} must be a number.",
    "decimal_max_places": "{field} must have at most {decimal_places} decimal places.",
    "greater_than_equal": "{field} must be at least {ge:,}.",
    "less_than_equal": "{field} must be at most {le:,}.",
    "literal_error": "{field} must be {expected}.",
    "enum": "{field} must be {expected}.",
    "model_type": "{field} must be a JSON object.",
    "dict_type": "{field} must be a JSON object.",
    "list_type": "{field} must be a list.",
    "content_type": "{field} must be a string or a list of parts.",
    "too_short": "{field} must not be empty.",
    "too_long": "{field} must have at most {max_length:,} entries.",
}
"""By pydantic's type of error. What is quoted is our own limits, never what was sent."""

WORDLESS = "{field} is not as it should be."
"""For a type that has no words yet: pydantic's own would speak of Python."""


def first(error: ValidationError) -> InvalidRequestError:
    """Named down to the field; a wrong name in a mapping is told of the mapping."""
    details = error.errors(include_url=False, include_input=False)[0]
    place = details["loc"]
    is_name = place[-1:] == (_KEY,)
    fields = [part for part in (place[:-2] if is_name else place) if part not in _NO_FIELDS]
    param = ".".join(map(str, fields))[:NAME_SHOWN_AT_MOST] or None
    field = f"A name in {param}" if is_name else param or "The body"
    words = _WORDS.get(details["type"], WORDLESS)
    return InvalidRequestError(words.format(field=field, **details.get("ctx", {})), param=param)
