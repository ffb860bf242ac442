"""Television: from a theme to a programme that goes on day and night (docs/channel.md).

writing/ what is shown    making/ how clips come about    airing/ what is on air    web/ the site

Beside them, what these share: the file (config), the folder's library, clips in one encoding (conform, packets), locks,
and the two ways in: control (the verbs as functions) and running (all processes of a channel).
"""
