"""How good answers are and how that looks: figures, pictures, latency, and answers of a service over HTTP.

Arrays and files in, numbers and PNGs out; nothing here is used in training or export.
"""
