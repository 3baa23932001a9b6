"""Which versions are served to whom, and how that changes while serving."""
