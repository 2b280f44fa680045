"""Honest evaluation: errors on test cells, with intervals, on targets that all panels share."""
