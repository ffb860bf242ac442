"""What an object hides, carried into its place from frames where it is seen; what is never seen, patched."""
