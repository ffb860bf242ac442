"""The channel's site: page, HLS, guide, suggestions, the owner's verbs."""
