"""Neural SDEs as generative models: latent SDEs, SDE-GANs, and the solver that runs backwards exactly."""
