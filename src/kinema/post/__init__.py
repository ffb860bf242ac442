"""What is done to frames after decoding: each step takes an iterator of Chunks and gives one back."""
