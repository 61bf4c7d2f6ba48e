"""A sample MAOS under live load and an incident to recover from: what `maos-ckpt demo` runs beside its console.

Each of the two is a process of its own (`python -m maos_ckpt.demo.sample`, `python -m maos_ckpt.demo.incident`):
they write through maos-cli's own classes, and a checkpoint engine must never share a process with what it protects.
"""
