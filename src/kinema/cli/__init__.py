"""The command line. Nothing here imports torch or a codec before a command needs it."""
