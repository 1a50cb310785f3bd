"""Widgets and what stands behind them: the live widget, the page engine and the lowering of torch to JavaScript."""
