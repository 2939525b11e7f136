"""The GPU engine: the same chunk table, kernels in Triton."""
