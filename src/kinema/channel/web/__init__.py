"""The channel's site: watch page, HLS, guide, suggestions, the owner's API."""
