"""The verbs of the command line, one file each; torch and what needs it are imported inside them."""
