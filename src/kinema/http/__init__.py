"""What every server of Kinema shares: guard, tokens, limits, uploads by hash, media policy, server-sent events."""
