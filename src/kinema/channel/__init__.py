"""Television: from a theme to a programme that runs day and night (docs/channel.md).

writing/ episodes and prompts    making/ clip generation    airing/ playout and its outputs    web/ the site

Shared modules: the channel file (config), the library, the clip encoding (conform, packets) and locks. Entry points:
control (the commands as functions) and running (all processes of a channel).
"""
