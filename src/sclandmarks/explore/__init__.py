"""A first look at the processed cells."""
