"""The headers of every answer, to the letter: strict, the same everywhere, and silent about what answers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app

from dropbox.serving.prepared import STATUSES
from dropbox.source.prepared import prepared_pages
from keys.languages import Text
from tests.dropbox.source.site import Site, form_fields, multipart

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


LEFT = '\nClear-Site-Data: "cache", "cookies", "storage"'
ENTERED = "\nSet-Cookie: box-LABEL=SEALED; HttpOnly; Path=/; SameSite=Strict"
TO_INBOX = HTML + ENTERED + "\nLocation: /th/inbox/LABEL"
FORMS = {
    "/th/send/" + "0" * 32: (400, HTML),
    "/th/volunteer/" + "0" * 32: (400, HTML),
    "/th/return": (400, HTML),
    "/th/leave": (200, HTML + LEFT),
    "/th/inbox/" + "0" * 16 + "/send/" + "0" * 32: (403, HTML),
    "/th/inbox/" + "0" * 16 + "/delete": (403, HTML),
    "/th/inbox/" + "0" * 16 + "/consent": (403, HTML),
}
"""Posted to with nothing in them."""

OPENED = {
    "call": (200, HTML),
    "post": (200, HTML),
    "upload": (200, HTML + ENTERED),
    "offer": (200, HTML + ENTERED),
    "enter": (303, TO_INBOX),
    "inbox": (200, HTML + ENTERED),
    "attachment": (200, SAVED + "a.pdf"),
    "follow_up": (200, HTML + ENTERED),
    "consent": (200, HTML + ENTERED),
    "delete": (303, TO_INBOX),
}
"""What needs something to be there first, by endpoint."""


def golden(response: TestResponse) -> list[str]:
    """The header lines, with a stand-in for the one label and value that are random."""
    text = "\n".join(lines(response))
    text = re.sub(r"box-[0-9a-f]{16}=[\w-]{100,}=*;", "box-LABEL=SEALED;", text)
    return re.sub(r"/inbox/[0-9a-f]{16}$", "/inbox/LABEL", text, flags=re.MULTILINE).split("\n")


def asked_for(site: Site, response: TestResponse) -> tuple[str, str]:
    """The endpoint that answered, and the method."""
    asked = response.request
    endpoint, _ = site.app.url_map.bind("onion").match(asked.path, asked.method)
    return endpoint, asked.method


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[str, str, TestResponse]]]:
    """Everything that opens only when there is something: a call, an update, a mailbox with a reply that asks."""
    site = Site(tmp_path_factory.mktemp("opened"))
    call, update = (site.newsroom.randomness(16) for _ in range(2))
    about = Text("ต่อ", "More")
    site.box.admit([site.newsroom.bulletin(id=call)])
    site.box.admit([site.newsroom.bulletin(id=update, kind="update", about=call, title=about, questions=())])
    visitor, name = site.visitor(), site.codename()
    site.answer(name, asks=[2], attachments=[("a.pdf", "", b"a")])
    responses = [visitor.get(f"/calls/{call.hex()}"), visitor.get(f"/posts/{update.hex()}"), visitor.send("x").response]
    offer = multipart([("codename", name.text), ("desk", "1"), ("can", "x"), ("reach", "x")])
    responses += [visitor.post("/th/volunteer/" + "1" * 32, offer), visitor.sign_in(name.text), visitor.inbox()]
    page, path, chosen = responses[-1].text, visitor.inbox_path, f"1-{site.newsroom.week}-0"
    tokens = dict(re.findall(r'/(consent|delete)"[^>]*>\s*<input type="hidden" name="token" value="([0-9a-f]+)"', page))
    responses.append(visitor.client.get(f"{path}/file/{chosen}/0"))
    responses.append(visitor.post(f"{path}/send/{'2' * 32}", multipart(form_fields("x", [1]))))
    for form in ("consent", "delete"):
        values = {"token": tokens[form], "reply": chosen, "allowed": "yes"}
        responses.append(visitor.client.post(f"{path}/{form}", data=values))
    yield [(*asked_for(site, response), response) for response in responses]
    site.close()


@pytest.mark.parametrize("path", FORMS)
def test_headers_of_every_form(site: Site, path: str) -> None:
    status, own = FORMS[path]
    response = site.app.test_client().post(path)
    assert response.status_code == status
    assert lines(response) == sorted([*COMMON.split("\n"), *own.split("\n")])


def test_headers_of_what_opens(opened: list[tuple[str, str, TestResponse]]) -> None:
    found = {endpoint: (response.status_code, golden(response)) for endpoint, _, response in opened}
    assert found == {
        endpoint: (status, sorted([*COMMON.split("\n"), *own.split("\n")]))
        for endpoint, (status, own) in OPENED.items()
    }


def test_no_route_is_left_out(site: Site, opened: list[tuple[str, str, TestResponse]]) -> None:
    """Each is listed as it answers when it opens; and those that may not open, as they refuse."""
    client = site.app.test_client()
    listed = {(endpoint, method) for endpoint, method, _ in opened}
    listed |= {asked_for(site, client.get(path)) for path, (status, _) in ROUTES.items() if status == 200}
    listed |= {asked_for(site, client.post(path)) for path, (status, _) in FORMS.items() if status == 200}
    refusing = {asked_for(site, client.post(path)) for path in FORMS} | {
        asked_for(site, client.get(path)) for path, (status, _) in ROUTES.items() if status == 403
    }
    every = {(rule.endpoint, method) for rule in site.app.url_map.iter_rules() for method in rule.methods or ()}
    assert {each for each in every if each[1] != "HEAD"} == listed
    assert {endpoint for endpoint, method in every if method == "POST" or "inbox" in endpoint} <= {
        endpoint for endpoint, _ in refusing
    }


@pytest.mark.parametrize("status", STATUSES)
def test_headers_of_pages_that_stand_ready(site: Site, status: int) -> None:
    """For what the application is never asked. `tests/promises/test_golden_errors.py` sees them on the wire."""
    page = prepared_pages(site.app)[status]
    assert sorted(f"{name}: {value}" for name, value in page.headers) == sorted([*COMMON.split("\n"), HTML])


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
