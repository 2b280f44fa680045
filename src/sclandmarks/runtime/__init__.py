"""The machine: device, seeds, logs."""
