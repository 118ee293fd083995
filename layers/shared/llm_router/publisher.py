"""Puts the dashboard into its bucket: the page's own files once a process, `stats.json` at every call."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from llm_router import aws, json_text
from llm_router.errors import StoreError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

STATS_NAME = "stats.json"
_FRESH = "no-cache"
"""Browsers and the CDN ask again each time; unchanged files cost a 304."""


class Publisher:
    """Blocking; raises StoreError."""

    def __init__(self, client: Callable[[], S3Client], *, bucket: str, page_dir: Path) -> None:
        self._client = client
        self._bucket = bucket
        self._page_dir = page_dir
        self._page_is_there = False

    def publish(self, stats: object) -> None:
        if not self._page_is_there:
            if not (self._page_dir / "index.html").is_file():
                raise StoreError("publish", f"there is no page in {self._page_dir}")
            for path in sorted(file for file in self._page_dir.rglob("*") if file.is_file()):
                self._put(path.relative_to(self._page_dir).as_posix(), path.read_bytes())
            self._page_is_there = True
        self._put(STATS_NAME, json_text.encode(stats))

    def _put(self, name: str, body: bytes) -> None:
        content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        with aws.asking("PutObject"):
            self._client().put_object(
                Bucket=self._bucket, Key=name, Body=body, ContentType=content_type, CacheControl=_FRESH
            )
