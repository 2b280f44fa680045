"""Choose landmark genes from single-cell RNA-seq, infer the other genes, and say how well."""

import os

__version__ = "0.1.0"

# Read by OpenMP when torch is loaded, hence here: threads that wait for work sleep instead of spinning. On a machine
# that others use too, training is 4 to 10 times faster for it (docs/LOG.md); what the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
