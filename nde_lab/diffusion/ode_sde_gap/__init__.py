"""The gap between the ODE and the SDE sampler of one score model, and how the Fokker-Planck equation closes it.

Deveney, Stanczuk, Kreusser, Budd, Schoenlieb, "Closing the ODE-SDE gap in score-based diffusion models through
the Fokker-Planck equation", 2023, arXiv 2311.15996. The process in ``process``, the residual in ``residual``,
networks for log p in ``potential``, the samplers' exact laws on the line in ``laws``, the mis-scaled Gaussian
in closed form in ``gaussian`` and with N steps in ``steps``, training in ``training``, the live demo in
``gap``, two rings in the plane in ``plane``, ``plane_laws``, ``transport`` and ``rings``, the results in ``claims``,
``table`` and ``plane_table``, the chapter's exercises in ``exercises``.
"""
