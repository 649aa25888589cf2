"""Image encoders, the aligner contract, small networks, and pictures as tensors."""
