"""Data in and out: the only place that opens files."""
