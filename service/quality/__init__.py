"""What the answers look like: without payloads, cheap enough for every image."""
