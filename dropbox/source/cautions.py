"""What a page warns of before anything else: how it was reached, and with which browser.

Everything here depends on the request's headers alone, never on a mailbox (promise 12), and refuses nobody: headers
are what a stranger writes, so they may cause a sentence, and nothing of them is ever shown.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

from werkzeug.datastructures import Headers

HOST = "mustshare.host"
"""Where the WSGI environment keeps the host that the client named; everywhere else it has one name for all."""

# Tor Browser says the same on every machine of a kind: the windows, macOS, Linux and Android ones, desktop in an older
# way too. Firefox itself can say so as well; then nothing is warned of.
_TOR_BROWSER = re.compile(
    r"Mozilla/5\.0 \((?:Windows NT 10\.0(?:; Win64; x64)?|Macintosh; Intel Mac OS X 10[._]\d\d|X11; Linux x86_64"
    r"|Android \d\d?; Mobile); rv:(\d{2,3})\.0\) Gecko/(?:20100101|\1\.0) Firefox/\1\.0"
)
# What browsers of another make say of themselves, and apps that show pages inside themselves.
_OTHER_MAKES = ("Sec-Ch-Ua", "Sec-Ch-Ua-Platform", "X-Requested-With", "Save-Data")
# What whoever passes a request on adds; no browser says any of it by itself.
_PASSED_ON = (
    "X-Tor2Web", "Via", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Server",
    "X-Real-Ip", "Cf-Connecting-Ip", "Cf-Ray", "True-Client-Ip", "X-Proxy-Id",
)  # fmt: skip
_ONION = re.compile(r"(?:[a-z0-9-]+\.)*[a-z2-7]{56}\.onion\Z")


@dataclass(frozen=True, slots=True)
class Cautions:
    """What is to be said beside what every page says to those who have JavaScript on."""

    passed_on: bool = False
    unsigned_address: bool = False
    other_browser: bool = False

    def __bool__(self) -> bool:
        return self.passed_on or self.unsigned_address or self.other_browser


def cautions(host: str, headers: Headers, signed: Container[str]) -> Cautions:
    """Say what a request's headers give reason to warn of.

    Args:
        host: as the client named it; anything at all.
        headers: of the request.
        signed: the onion addresses that the manifest in force lists; empty when there is none, or it lists none.
    """
    passed_on = any(name in headers for name in _PASSED_ON) or not _ONION.match(host)
    return Cautions(
        passed_on=passed_on,
        unsigned_address=bool(signed) and not passed_on and host not in signed,
        other_browser=not _is_tor_browser(headers),
    )


def _is_tor_browser(headers: Headers) -> bool:
    if any(name in headers for name in _OTHER_MAKES):
        return False
    return _TOR_BROWSER.fullmatch(headers.get("User-Agent", "")) is not None
