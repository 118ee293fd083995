"""Which base URLs a provider may have: whole ones, free of secrets, and encrypted wherever the public can listen."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_LOCAL_DOMAINS = (".local", ".internal", ".localhost")
_ADVICE = "write it as https://host/v1"


def fault(url: str) -> str | None:
    """What is wrong with a base URL and what to do, or None. Never quotes what may be a secret."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return f"has spaces or characters that no URL has; {_ADVICE}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return f"is not a URL; {_ADVICE}"
    if port == 0:
        return f"has no usable port; {_ADVICE}"
    return next(_faults(url, parts), None)


def _faults(url: str, parts: SplitResult) -> Iterator[str]:
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https"):
        yield f"does not start with https:// (or http:// for a server in your own network); {_ADVICE}"
    if parts.username is not None or parts.password is not None:
        yield "holds credentials before the host; leave them out and store the provider's key instead"
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        yield "has a part after ? or #; leave it out"
    if not _is_host(host):
        yield f"has no usable host; {_ADVICE}"
    if parts.path.rstrip("/").endswith("/chat/completions"):
        yield "ends in /chat/completions; leave that off, it is added for each request"
    if parts.scheme == "http" and not _is_private(host):
        yield "sends keys and prompts unencrypted to a public host; write https://, http:// is for your own network"


def _is_host(host: str) -> bool:
    return _address(host) is not None or bool(_HOST.fullmatch(host) and ".." not in host and not _is_numeric(host))


def _is_numeric(host: str) -> bool:
    """Ends in a number without being an address: resolvers read such names in ways of their own."""
    return re.fullmatch(r"(0x[0-9a-f]*|[0-9]+)", host.rsplit(".", 1)[-1].lower()) is not None


def _is_private(host: str) -> bool:
    address = _address(host)
    if address is not None:
        return not address.is_global and not address.is_link_local and not address.is_multicast
    return "." not in host or host.endswith(_LOCAL_DOMAINS)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
