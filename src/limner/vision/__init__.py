"""Pictures in: image encoders, aligners, small networks, and pixels as tensors."""
