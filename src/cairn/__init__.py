"""cairn: let a coding assistant make accelerator kernels faster, and keep what it learned."""

__version__ = "0.1.0"
