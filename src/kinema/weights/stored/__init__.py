"""Weights that stay as their file stores them, and are widened at each use.

contract.Stored     a weight: its bytes by part, and the code that widens rows of it
codes               float8 and int8: read_stored(state) finds them in a safetensors state
gguf                the tensors of a GGUF file
layers              StoredLinear, StoredEmbedding; place(network, weights) puts them into a network

Widening is exact with respect to the file and needs no hardware for small types. What it costs is time: a layer's
weight is written once more per call.
"""
