"""Learning from batches: tasks, losses, epochs. Shared by selectors and predictors."""
