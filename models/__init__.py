"""The contract between training and serving: what a model file is and how an image becomes its input.

Knows nothing of torch, onnxruntime, BentoML or HTTP, so that both sides can depend on it and on nothing of each other.
"""
