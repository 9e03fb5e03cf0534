"""An office behind the server's own workers, as a process of its own: `served_office.py FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from dropbox import service
from dropbox.collect.prepared import prepared_pages
from dropbox.serving import launch
from dropbox.serving.plan import Plan
from tests.simulators.newsroom import Newsroom
from tests.simulators.office import Office

LABEL = "served"
CELLS = 6


def main() -> int:
    folder = Path(sys.argv[1])
    office = Office(folder, Newsroom(LABEL), slots=96, reserve=32)
    office.fill(CELLS)
    whole = service.plan(folder / "run", 0, group=None, circuits=False, collect_pages=prepared_pages())
    collect = tuple(site for site in whole.sites if site.name == "collect")
    plan = Plan(sites=collect, run_folder=whole.run_folder)
    return launch.serve(lambda: {"collect": office.app}, plan, on_ready=lambda: print("ready", flush=True))


if __name__ == "__main__":
    sys.exit(main())
