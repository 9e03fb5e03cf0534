"""The headers of every page, the same whatever happened: the browser may load nothing but this site's own parts."""

from __future__ import annotations

from urllib.parse import quote

from flask import Response

from dropbox.source.words import shown_name

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "frame-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
        "base-uri 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def harden(response: Response) -> Response:
    """Set the headers of a response. What a view has set itself stays."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def saved_as(name: str) -> str:
    """The Content-Disposition of a download: its name as one that a browser may save, in no folder. RFC 6266."""
    plain = shown_name(name, 80).replace("/", "_").replace("\\", "_").strip(" .") or "file"
    return f"attachment; filename*=UTF-8''{quote(plain, safe='')}"
