"""Widgets in a page without a kernel: the page engine (trained now, in the reader's browser) and the stored engine."""
