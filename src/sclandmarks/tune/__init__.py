"""Search of settings by many workers on one study; the only importer of Optuna."""
