"""Files of one's own: whether they can be read, copied into own/, made a data set."""
