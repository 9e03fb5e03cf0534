"""The files of the data folder, by name. SPEC section 18.2."""

SLAB = "cells.slab"
INDEX = "cells.index"
DOCUMENTS = "documents"
REDO = "redo"
FILES = (SLAB, INDEX, DOCUMENTS, REDO)
