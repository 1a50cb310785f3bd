"""Score-based generation of real pictures: 8 x 8 digits, guidance, inpainting (Song et al. 2021, Sec. 5).

The network and its Gaussian head start in ``network``, live training in ``training``, the two classifiers in
``classifier``, asking for a digit in ``guidance``, completing halves in ``inpainting``, distances in
``quality``, the weights that come with the package in ``weights``, results in ``claims``.
"""
from nde_lab.diffusion.score_sde.digits import claims      # noqa: F401  (so that the ledger finds them)
from nde_lab.diffusion.score_sde.digits.classifier import guide_logits, judge_features, judge_logits
from nde_lab.diffusion.score_sde.digits.guidance import DigitsGuided, guided, one_hot, sample_class, score_of
from nde_lab.diffusion.score_sde.digits.inpainting import DigitsInpaint
from nde_lab.diffusion.score_sde.digits.network import PROCESS, Basis, training_basis
from nde_lab.diffusion.score_sde.digits.quality import confident, frechet, to_nearest
from nde_lab.diffusion.score_sde.digits.training import DigitsScore, sample_digits
from nde_lab.diffusion.score_sde.digits.weights import restored, stored

__all__ = ["PROCESS", "Basis", "DigitsGuided", "DigitsInpaint", "DigitsScore", "confident", "frechet",
           "guide_logits", "guided", "judge_features", "judge_logits", "one_hot", "restored", "sample_class",
           "sample_digits", "score_of", "stored", "to_nearest", "training_basis"]
