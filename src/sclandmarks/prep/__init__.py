"""From raw counts to the processed matrix: join, split, filter, normalise."""
