"""What is written down of answered requests, when asked for: for feedback, and as a log."""
