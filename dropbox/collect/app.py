"""The interface for couriers, behind the second onion service. SPEC section 19.

It serves ciphertext and signed documents, and takes signed bundles; whoever breaks in here learns what a courier knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from dropbox.box import Box
from dropbox.collect.deliveries import RETRY_SECONDS, Busy, Deliveries
from dropbox.collect.logins import Logins, Unwelcome
from keys import primitives
from keys.bundle import CELL_BYTES
from keys.encoding import Fields, Reader, from_hex, parse_json, to_json, u8, u32
from keys.errors import DropBoxError, Malformed, Misconfigured, NotForUs
from keys.inventory import ID_BYTES

MAX_CELLS_A_REQUEST = 4_096
MAX_LOGIN_BYTES = 4_096
_REQUEST_BYTES = 4 + MAX_CELLS_A_REQUEST * ID_BYTES


def create_app(box: Box, logins: Logins, server: str, deliveries: Deliveries | None = None) -> Flask:
    """Return the WSGI application of the collect interface. To be made before the workers fork."""
    deliveries = deliveries or Deliveries()
    app = Flask("dropbox.collect", static_folder=None)
    app.url_map.merge_slashes = False
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False

    @app.get("/v1/challenge")
    def challenge() -> Response:
        network = box.manifest.network.hex()
        return _json({"network": network, "server": server, "challenge": logins.challenge().hex()})

    @app.post("/v1/session")
    def session() -> Response:
        fields = Fields(parse_json(_body(MAX_LOGIN_BYTES)), "login")
        courier, sealed = fields.text("courier"), fields.text("challenge", 1_024)
        signature = fields.hex("signature", primitives.SIGNATURE_BYTES)
        fields.done()
        token = logins.login(box.manifest, server, courier, from_hex(sealed, len(sealed) // 2), signature)
        return _json({"token": token.hex()})

    def authorised(view: Callable[[], Response]) -> Callable[[], Response]:
        def checked() -> Response:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            if scheme != "Bearer":
                raise Unwelcome("A courier must log in first.")
            try:
                raw = from_hex(token, len(token) // 2)
            except Malformed as error:
                raise Unwelcome("This isn't a token.") from error
            g.courier = logins.check(box.manifest, raw)
            return view()

        checked.__name__ = view.__name__
        return checked

    @app.get("/v1/inventory")
    @authorised
    def inventory() -> Response:
        raw, signature = box.inventory()
        return _bytes(u32(len(raw)) + raw + signature)

    @app.get("/v1/documents")
    @authorised
    def documents() -> Response:
        named = box.documents()
        parts = [u32(len(named))]
        for name, document in named:
            encoded = document.encode()
            parts += [u8(len(name)), name.encode("ascii"), u32(len(encoded)), encoded]
        return _bytes(b"".join(parts))

    @app.post("/v1/cells")
    @authorised
    def cells() -> Response:
        reader = Reader(_body(_REQUEST_BYTES))
        offset = reader.u32()
        if offset >= CELL_BYTES or not reader.left or reader.left % ID_BYTES:
            raise Malformed("A request for cells names an offset below one cell, and whole ids.")
        ids = [reader.take(ID_BYTES) for _ in range(reader.left // ID_BYTES)]
        response = Response(_stream(box, ids, offset), mimetype="application/octet-stream")
        response.content_length = len(ids) * CELL_BYTES - offset
        return response

    @app.post("/v1/outbound")
    @authorised
    def outbound() -> Response:
        with deliveries.place(g.courier.public):
            body = deliveries.hurried(cast(BinaryIO, request.stream), request.content_length or 0)
            delivery = box.deliver(cast(BinaryIO, body))
        reasons = {str(number): reason for number, reason in delivery.reasons.items()}
        said = {"desk": delivery.desk, "mark": delivery.mark, "refused": list(delivery.refused), "reasons": reasons}
        return _json(said)

    _explain_errors(app)

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        return response

    return app


def _explain_errors(app: Flask) -> None:
    @app.errorhandler(DropBoxError)
    def refused(error: DropBoxError) -> Response:
        response = _refusal(error, error.http_status)
        if isinstance(error, Busy) or error.http_status == 408:  # It passes by itself: a courier tries again.
            response.headers["Retry-After"] = str(RETRY_SECONDS)
        return response

    @app.errorhandler(HTTPException)
    def unknown(error: HTTPException) -> Response:
        said = NotForUs("There is no such thing here.", "Use the dropbox-courier of this server's version.")
        return _refusal(said, error.code or 404)

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        app.logger.error("a courier's request failed: %s", type(error).__name__)
        return _refusal(Misconfigured("Something failed here.", "Tell whoever runs the server."), 500)


def _refusal(error: DropBoxError, status: int) -> Response:
    response = _json({"error": error.message, "hint": error.remedy})
    response.status_code = status
    return response


def _body(most: int) -> bytes:
    """Read a whole body, which comes in pieces over Tor. Raises: Malformed: it is longer than `most`."""
    data = bytearray()
    while piece := request.stream.read(most + 1 - len(data)):
        data += piece
    if len(data) > most:
        raise Malformed("The request is too long.")
    return bytes(data)


def _json(value: dict[str, Any]) -> Response:
    return Response(to_json(value), mimetype="application/json")


def _bytes(data: bytes) -> Response:
    return Response(data, mimetype="application/octet-stream")


def _stream(box: Box, ids: list[bytes], offset: int) -> Iterator[bytes]:
    """Yield the cells; one that is gone is noise, so that the stream keeps its shape and the digest tells."""
    for number, cell_id in enumerate(ids):
        try:
            cell = box.store.read(cell_id)
        except NotForUs:
            cell = primitives.system_randomness(CELL_BYTES)
        yield cell[offset:] if number == 0 else cell
