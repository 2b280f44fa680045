"""Where bytes come from: fetched from the network and kept, or found on this machine."""
