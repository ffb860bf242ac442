"""Work of several requests: lists of clips and films; the history of this machine; samples."""
