"""Turns labelled images into model files whose quality is measured: fit, evaluate, export, put into the store.

Depends on `models/` and on torch; never on the service, which knows its models only by the files that come from here.
"""
