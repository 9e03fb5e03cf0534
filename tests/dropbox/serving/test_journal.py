"""Whatever is logged of an error says its type and place, and nothing that was in the request."""

from __future__ import annotations

import io
import logging

import pytest
from gunicorn.config import Config

from dropbox.serving.journal import OUR_PACKAGES, Journal, ScrubbingFormatter, SilentErrors, describe
from dropbox.serving.reply import wire_head

GUNICORNS = ("gunicorn.error", "gunicorn.access")


def error_with_canaries() -> Exception:
    try:
        try:
            raise KeyError("canary")
        except KeyError:
            wire_head("canary", [])
    except ValueError as error:
        return error
    raise RuntimeError("it must fail")


def test_an_exception_is_told_by_type_and_place() -> None:
    told = describe(error_with_canaries())
    assert told.startswith("ValueError at dropbox.serving.reply:")
    assert "from KeyError at an unknown place" in told
    assert "canary" not in told


def test_a_circle_of_causes_ends() -> None:
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one
    assert describe(one).count("ValueError") == 1


def test_a_log_line_holds_no_traceback() -> None:
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(ScrubbingFormatter("%(levelname)s %(message)s"))
    log = logging.Logger("test")
    log.addHandler(handler)
    try:
        raise error_with_canaries()
    except ValueError:
        log.exception("It %s", "broke", stack_info=True)
    assert lines.getvalue().startswith("ERROR It broke: ValueError at dropbox.serving.reply:")
    assert "canary" not in lines.getvalue()
    assert lines.getvalue().count("\n") == 1


def test_what_frameworks_write_about_errors_is_not_kept() -> None:
    assert SilentErrors().write("canary") == 6


def test_what_our_own_packages_say_is_heard_and_scrubbed(capfd: pytest.CaptureFixture[str]) -> None:
    own = [logging.getLogger(package) for package in OUR_PACKAGES]
    before = [logger.handlers[:] for logger in own]
    gunicorns = [(logger, logger.handlers[:], logger.propagate) for logger in map(logging.getLogger, GUNICORNS)]
    try:
        Journal(Config())
        try:
            raise error_with_canaries()
        except ValueError:
            logging.getLogger("dropbox.source.app").exception("a page failed")
    finally:
        for logger, handlers in zip(own, before, strict=True):
            logger.handlers[:] = handlers
        for logger, handlers, propagate in gunicorns:
            logger.handlers[:], logger.propagate = handlers, propagate
    told = capfd.readouterr().err
    assert "ERROR" in told and "a page failed: ValueError at dropbox.serving.reply:" in told
    assert told.count("a page failed") == 1 and "canary" not in told and "Traceback" not in told
