"""Stepping during the backward pass, which lets gradients go one by one."""
