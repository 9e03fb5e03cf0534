"""A Firefox profile that shows a source's pages as Tor Browser's “Safest” level does, over a SOCKS port of ours.

For practice and tests. A source uses Tor Browser itself: a Firefox with these settings is as strict towards a page,
but it doesn't look like every other Tor Browser, and it protects nobody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from onion_config.private_files import private_folder, write_private
from onion_config.programs import find_program

Preference = bool | int | str

SAFEST: Final[Mapping[str, Preference]] = {
    "javascript.enabled": False,
    "javascript.options.wasm": False,
    "svg.disabled": True,
    "mathml.disabled": True,
    "gfx.downloadable_fonts.enabled": False,
    "gfx.font_rendering.opentype_svg.enabled": False,
    "webgl.disabled": True,
    "media.peerconnection.enabled": False,
}
"""What Tor Browser's “Safest” turns off."""

LIKE_TOR_BROWSER: Final[Mapping[str, Preference]] = {
    # Without it an http onion isn't a secure context, and Clear-Site-Data and COOP are ignored.
    "dom.securecontext.allowlist_onions": True,
    "dom.security.https_only_mode": True,
    "dom.security.https_only_mode.upgrade_onion": False,
    "privacy.resistFingerprinting": True,
    "privacy.firstparty.isolate": True,
    "browser.privatebrowsing.autostart": True,
    "browser.cache.disk.enable": False,
    "network.http.referer.hideOnionSource": True,
    "signon.rememberSignons": False,
    "browser.formfill.enable": False,
}
"""How Tor Browser treats every page, at any level."""

QUIET: Final[Mapping[str, Preference]] = {
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.newtabpage.enabled": False,
    "browser.region.update.enabled": False,
    "browser.safebrowsing.blockedURIs.enabled": False,
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.search.update": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.startup.page": 0,
    "datareporting.healthreport.uploadEnabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.policy.firstRunURL": "",
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "network.http.speculative-parallel-limit": 0,
    "network.predictor.enabled": False,
    "network.prefetch-next": False,
    "network.trr.mode": 5,
    "services.settings.server": "data:,",
    "termsofuse.bypassNotification": True,
    "toolkit.telemetry.enabled": False,
    "toolkit.telemetry.server": "",
}
"""No welcome, and no request but the page's own."""


def preferences(socks_port: int) -> dict[str, Preference]:
    """Everything that makes a plain Firefox behave so, through this SOCKS port of 127.0.0.1."""
    over_tor: dict[str, Preference] = {
        "network.proxy.type": 1,
        "network.proxy.socks": "127.0.0.1",
        "network.proxy.socks_port": socks_port,
        "network.proxy.socks_version": 5,
        "network.proxy.socks_remote_dns": True,
        "network.proxy.no_proxies_on": "",
        "network.proxy.allow_hijacking_localhost": True,
        "network.proxy.failover_direct": False,
        "network.dns.blockDotOnion": False,
    }
    return {**QUIET, **LIKE_TOR_BROWSER, **SAFEST, **over_tor}


def user_js(prefs: Mapping[str, Preference]) -> str:
    """The content of a profile's `user.js`, which Firefox reads at each start."""
    return "".join(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in sorted(prefs.items()))


def write_profile(folder: Path, socks_port: int) -> None:
    """Make the profile, or set the one that is there to these preferences again.

    Raises:
        OSError: the folder can't be written.
    """
    private_folder(folder)
    write_private(folder / "user.js", user_js(preferences(socks_port)).encode())


def command(profile: Path, url: str) -> list[str]:
    """The command line that opens a page with this profile, in a browser of its own.

    Raises:
        Misconfigured: no Firefox ESR is installed.
    """
    firefox = find_program("firefox-esr", package="firefox-esr")
    return [str(firefox), "--no-remote", "--profile", str(profile), url]
