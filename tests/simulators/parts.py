"""An inbound part as SPEC section 14 has it, read the plain way: from its first cell to its last, in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator

from keys import bundle
from keys.bundle import CELL_BYTES
from keys.errors import Malformed
from keys.inventory import ID_BYTES, CellId
from keys.statement import NetworkId

RECORD_BYTES = ID_BYTES + CELL_BYTES


def read_cells(raw: bytes, network: NetworkId, server: str) -> Iterator[tuple[CellId, bytes]]:
    """Yield the cells of one part. Raises: Malformed: its last cell is cut short; those before have been yielded."""
    stream = io.BytesIO(raw)
    bundle.parse_cells_header(bundle.read_header(stream), network, server)
    while record := stream.read(RECORD_BYTES):
        if len(record) != RECORD_BYTES:
            raise Malformed("The last cell of this part is cut short.")
        yield CellId(record[:ID_BYTES]), record[ID_BYTES:]
