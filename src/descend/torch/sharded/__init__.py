"""Parameters of which this process holds a part, or a share: DTensors (FSDP2, tensor parallel), ZeRO, FSDP1.

Elementwise rules step the local part as they step any tensor. What is a sum over more than this process holds (the
norm of ``clip_norm``, whether a gradient is finite, telemetry) is exchanged between the processes; rules that need
other sums are refused by name.
"""
