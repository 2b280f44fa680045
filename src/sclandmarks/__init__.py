"""Choose landmark genes from single-cell RNA-seq, infer the other genes, and say how well."""

__version__ = "0.1.0"
