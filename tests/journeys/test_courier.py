"""A courier whose key was revoked can't connect any more; one with a new key can."""

from __future__ import annotations

from tests.journeys.practice import Practice

COURIER = "runner"


def test_revoked_courier_cannot_connect_and_one_with_a_new_key_can(newsroom: Practice) -> None:
    onions = ("--onions", newsroom.told["onions"])
    control = ("--control", newsroom.told["control"])
    newsroom.succeed(newsroom.step(2))

    newsroom.tool("onion-config", "courier", "revoke", COURIER, *onions, *control)
    refused = newsroom.run(newsroom.step(2))
    assert refused.code == 75
    assert "error: The drop box can't be reached through Tor." in refused.errors
    assert "hint: Is tor running, and is this courier's client key in place?" in refused.errors
    assert newsroom.ask("GET", "/th/").status == 200

    kept = newsroom.home / f"tor/{COURIER}.auth_private"
    kept.unlink()
    client = ("--client-control", newsroom.told["client_control"])
    newsroom.tool("onion-config", "courier", "add", COURIER, *onions, *control, *client, "--to", kept.parent)
    newsroom.succeed(newsroom.step(2))
