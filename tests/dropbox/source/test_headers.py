"""The headers of every answer, to the letter: strict, the same everywhere, and silent about what answers."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app

from tests.dropbox.source.site import Site

COMMON = """\
Cache-Control: no-store
Content-Security-Policy: default-src 'none'; style-src 'self'; frame-src 'self'; form-action 'self'; \
frame-ancestors 'self'; base-uri 'none'
Cross-Origin-Embedder-Policy: require-corp
Cross-Origin-Opener-Policy: same-origin
Cross-Origin-Resource-Policy: same-origin
Permissions-Policy: camera=(), geolocation=(), microphone=()
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
X-Frame-Options: SAMEORIGIN"""

HTML = "Content-Type: text/html; charset=utf-8"
SAVED = "Content-Type: application/octet-stream\nContent-Disposition: attachment; filename*=UTF-8''"
ROUTES = {
    "/": (200, HTML),
    "/th": (200, HTML),
    "/en/": (200, HTML),
    "/style.css": (200, "Content-Type: text/css; charset=utf-8"),
    "/th/send": (200, HTML),
    "/th/send/waiting": (200, HTML),
    "/th/progress/" + "0" * 32: (200, HTML),
    "/scripts-off.css": (200, "Content-Type: text/css; charset=utf-8"),
    "/th/return": (200, HTML),
    "/th/guide": (200, HTML),
    "/th/guide/law": (200, HTML),
    "/th/guide/nothing": (404, HTML),
    "/th/volunteer": (200, HTML),
    "/th/calls": (200, HTML),
    "/th/calls/" + "0" * 32: (404, HTML),
    "/th/posts": (200, HTML),
    "/th/posts/" + "0" * 32: (404, HTML),
    "/th/desks/1": (200, HTML),
    "/th/desks/9": (404, HTML),
    "/th/send?call=" + "0" * 32: (200, HTML),
    "/th/keys": (200, HTML),
    "/th/keys/manifest-1": (200, SAVED + "manifest-1"),
    "/th/keys/root-1.pub": (200, SAVED + "root-1.pub"),
    "/th/leave": (200, HTML + '\nClear-Site-Data: "cache", "cookies", "storage"'),
    "/th/inbox/" + "0" * 16: (403, HTML),
    "/th/inbox/" + "0" * 16 + "/file/1-1-1/0": (403, HTML),
    "/nothing": (404, HTML),
    "/favicon.ico": (404, HTML),
    "/robots.txt": (404, HTML),
    "//th/send": (404, HTML),
    "/th/send/": (404, HTML),
    "/th/../style.css": (404, HTML),
}


def lines(response: TestResponse) -> list[str]:
    return sorted(f"{name}: {value}" for name, value in response.headers if name != "Content-Length")


@pytest.mark.parametrize("path", ROUTES)
def test_headers_of_every_route(site: Site, path: str) -> None:
    status, own = ROUTES[path]
    response = site.app.test_client().get(path)
    assert response.status_code == status
    assert lines(response) == sorted([*COMMON.split("\n"), *own.split("\n")])


def test_headers_of_an_open_mailbox(site: Site) -> None:
    visitor = site.visitor()
    for response in (visitor.sign_in(site.codename().text), visitor.inbox()):
        (cookie,) = response.headers.getlist("Set-Cookie")
        assert cookie.endswith("; HttpOnly; Path=/; SameSite=Strict")
        assert "domain" not in cookie.lower() and "expires" not in cookie.lower()
        assert {line.partition(":")[0] for line in lines(response)} - {"Location"} == {
            "Set-Cookie",
            "Content-Type",
            *(line.partition(":")[0] for line in COMMON.split("\n")),
        }


@pytest.mark.parametrize("path", ROUTES)
def test_head_is_get_without_a_body(site: Site, path: str) -> None:
    client = site.app.test_client()
    head, get = client.head(path), client.get(path)
    assert head.data == b""
    assert (head.status_code, lines(head)) == (get.status_code, lines(get))


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "POST"])
def test_other_methods_are_not_allowed(site: Site, method: str) -> None:
    for path in ("/", "/style.css", "/th/send", "/en/keys"):
        response = site.app.test_client().open(path, method=method)
        assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")
        assert "There is nothing" in response.text or "ไม่มีหน้านี้" in response.text


def test_get_on_what_only_forms_open_is_not_allowed(site: Site) -> None:
    for path in ("/th/send/" + "0" * 32, "/th/inbox/x/delete", "/th/inbox/x/send/" + "0" * 32):
        response = site.app.test_client().get(path)
        assert (response.status_code, response.headers["Allow"]) == (405, "POST")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    host=st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF), min_size=1, max_size=80)
    | st.sampled_from(["a" * 56 + ".onion", "localhost:1", "[::1]", "a..b", "xn--", "é.onion", "x:y:z", "@", "a" * 300])
)
def test_any_name_of_the_host_is_served_alike(site: Site, host: str) -> None:
    environ = {**EnvironBuilder("/th/send").get_environ(), "HTTP_HOST": host}
    body, status, _ = run_wsgi_app(site.app, environ)
    assert status == "200 OK"
    assert len(host) < 5 or host.encode() not in b"".join(body)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.text(st.characters(max_codepoint=0xFF), max_size=60),
    query=st.text(st.characters(max_codepoint=0x7E), max_size=40),
)
def test_any_address_is_a_page(site: Site, path: str, query: str) -> None:
    for begin in (
        "/",
        "/th/",
        "/en/inbox/",
        "/th/keys/",
        "/en/progress/",
        "/en/calls/",
        "/th/posts/",
        "/th/desks/",
        "/th/inbox/0123456789abcdef/file/",
    ):
        response = site.app.test_client().get("/", environ_overrides={"PATH_INFO": begin + path, "QUERY_STRING": query})
        assert response.status_code in (200, 400, 403, 404, 405)
        assert response.headers["Content-Security-Policy"]
