"""The parts of a training run: the module that learns, its optimiser, its batches, its folder, what watches it.

`training/fit.py` puts them together; nothing here knows export or the model store.
"""
