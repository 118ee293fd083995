"""JSON in and out in which a decimal stays a decimal: 0.1 is read as Decimal and written as 0.1, never as a float."""

from __future__ import annotations

from decimal import Decimal

import simplejson

DIGITS_AT_MOST = 1000
EXPONENT_AT_MOST = 400
"""Past these no number is meant: a float ends at 309. A short one with a long exponent must not fill the memory."""

PLAIN_EXPONENT_AT_MOST = 40
"""Money is written without an exponent; what is further from 1 than that is no money."""

DEPTH_AT_MOST = 100
"""Deeper than anything meant, and shallow enough for all that walks through it, the encoder included."""


def encode(value: object) -> bytes:
    """Compact UTF-8; Decimal becomes a plain literal (`0.000045`, not `4.5E-5`)."""
    text: str = _ENCODER.encode(value)
    return text.encode("utf-8", "backslashreplace")  # half a character as its JSON escape


def literal(encoded: bytes) -> object:
    """A value that is JSON already, to stand within one that is encoded."""
    return simplejson.RawJSON(encoded.decode())


def decode(body: bytes) -> object:
    """Raises ValueError for what is not JSON: bad UTF-8, NaN, nesting too deep to read."""
    try:
        value: object = _DECODER.decode(body.decode())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ArithmeticError as error:
        raise ValueError("a number past all bounds") from error
    if body.count(b"{") + body.count(b"[") > DEPTH_AT_MOST:  # few brackets cannot be many levels
        _check_depth(value)
    return value


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(DEPTH_AT_MOST + 1):
        containers = [found for found in level if isinstance(found, dict | list)]
        if not containers:
            return
        level = [inner for found in containers for inner in (found.values() if isinstance(found, dict) else found)]
    raise ValueError("nested too deeply")


def _literal(value: Decimal) -> str:
    """Every digit of it, which `normalize` would round to those of the context."""
    if value and abs(value.adjusted()) > PLAIN_EXPONENT_AT_MOST:
        return str(value)
    digits = f"{value:f}"
    return (digits.rstrip("0").rstrip(".") if "." in digits else digits) if value else "0"


def _plain(value: object) -> simplejson.RawJSON:
    if isinstance(value, Decimal) and value.is_finite():
        return simplejson.RawJSON(_literal(value))
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _decimal(literal: str) -> Decimal:
    if len(literal) > DIGITS_AT_MOST:
        raise ValueError("a number of too many digits")
    value = Decimal(literal)
    if value and abs(value.adjusted()) > EXPONENT_AT_MOST:
        raise ValueError("a number past all bounds")
    return value


# Made once: making them takes as long as reading one chunk of a stream.
_ENCODER = simplejson.JSONEncoder(
    default=_plain, use_decimal=False, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)
_DECODER = simplejson.JSONDecoder(parse_float=_decimal, allow_nan=False)
