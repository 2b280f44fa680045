"""One file a peer: `select(cells, size)` gives columns of genes, first choice first; run in an interpreter apart."""
