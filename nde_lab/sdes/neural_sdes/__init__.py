"""Neural SDEs as generative models: latent SDEs, an SDE-GAN, and the solver that runs backwards exactly.

Li, Wong, Chen, Duvenaud, "Scalable Gradients for Stochastic Differential Equations", arXiv 2001.01328;
Kidger, Foster, Li, Oberhauser, Lyons, "Neural SDEs as Infinite-Dimensional GANs", arXiv 2102.03657; Kidger,
Foster, Li, Lyons, "Efficient and Accurate Gradients for Neural SDEs", arXiv 2105.13493; Kidger, "On Neural
Differential Equations", arXiv 2202.02435. Closed forms in ``gauss``, experiments in ``latent``, ``prior``,
``gan`` and ``rewind``, results in ``claims`` and the ``..._table`` modules.
"""
from nde_lab.sdes.neural_sdes.gan import SDEGAN
from nde_lab.sdes.neural_sdes.latent import LatentOU
from nde_lab.sdes.neural_sdes.prior import LearnedPrior
from nde_lab.sdes.neural_sdes.rewind import Rewind

__all__ = ["SDEGAN", "LatentOU", "LearnedPrior", "Rewind"]
