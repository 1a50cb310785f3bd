"""One thread, no windows, hypothesis without deadlines: the suite runs on two shared cores and on laptops."""
import os

# Before torch and numpy are imported: small steps are slower on many threads than on one, and so are they in
# the kernels that notebook tests start (which inherit this).
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from hypothesis import HealthCheck, settings  # noqa: E402

settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# In CI the same examples each time: a failure there is one that anybody can repeat.
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
