"""A model in fewer bits: made (half.py, quantize.py), and admitted only when it is as good as fp32 (ladder.py)."""
