"""Plain JavaScript kernels."""
def plain_source(blocks, memory): return "null"
