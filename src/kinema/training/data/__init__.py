"""What is learnt from: own clips and Toyland's, their words, and both encoded once."""
