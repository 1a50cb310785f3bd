"""The neural tangent kernel: training a wide network as gradient descent with a kernel.

Arthur Jacot, Franck Gabriel, Clement Hongler, NeurIPS 2018, arXiv 1806.07572. Limit kernels in ``limit``,
networks in
``network``, the kernel of any module in ``empirical``, training in closed form in ``flow``, the circle in
``circle``; experiments in ``functions``, ``modes`` and ``drift``; results in ``claims`` and ``table``.
"""
from nde_lab.dynamics.neural_tangent_kernel.drift import KernelDrift
from nde_lab.dynamics.neural_tangent_kernel.empirical import layerwise_kernel, tangent_kernel
from nde_lab.dynamics.neural_tangent_kernel.flow import KernelFlow
from nde_lab.dynamics.neural_tangent_kernel.functions import CircleNetworks
from nde_lab.dynamics.neural_tangent_kernel.limit import kernels
from nde_lab.dynamics.neural_tangent_kernel.modes import KernelSpectrum, ModeDecay
from nde_lab.dynamics.neural_tangent_kernel.network import Network

__all__ = ["CircleNetworks", "KernelDrift", "KernelFlow", "KernelSpectrum", "ModeDecay", "Network", "kernels",
           "layerwise_kernel", "tangent_kernel"]
