"""Studies beside the comparison: learning curves, generalisation, stability of a panel, realistic input."""
