"""Says in plain words what keeps this installation from serving as it should, all of it at once, and how to mend it."""
