"""datasets.yaml: what each data set is, where it comes from, and the file as text."""
