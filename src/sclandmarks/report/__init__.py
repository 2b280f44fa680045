"""One self-contained page, and its figures, from the tidy tables of a run."""
