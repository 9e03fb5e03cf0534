"""What the pages say, looked up in the catalogues that the server itself reads."""

from __future__ import annotations

import gettext
from importlib.resources import files

from markupsafe import escape

LANGUAGES = ("th", "en")


def say(sentence: str, language: str) -> str:
    """Return a sentence of the pages in a language, as it stands in HTML. Fails when it isn't in the catalogue."""
    folder = str(files("dropbox").joinpath("translations"))
    catalogue = gettext.translation("messages", folder, [language])
    catalogue.add_fallback(_Missing())
    return str(escape(catalogue.gettext(sentence)))


class _Missing(gettext.NullTranslations):
    def gettext(self, message: str) -> str:
        raise AssertionError(f"The catalogue lacks: {message}")
