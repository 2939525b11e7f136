"""The CPU engine: one fused pass over all tensors, compiled by LLVM."""
