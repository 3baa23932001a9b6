"""The Open Inference Protocol v2 over REST, another way into the same engine as `/v1/classify`."""
