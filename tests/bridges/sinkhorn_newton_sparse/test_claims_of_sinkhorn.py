"""Every claim of the paper: quick ones run, long ones are stored and up to date."""
from claim_laws import claim_laws

from nde_lab.claims import claims

FAILS = {"sparser_with_every_sweep"}            # the first sweep is the sparsest
test_quick, test_long, test_fails_are_claims = claim_laws(claims(paper="sinkhorn-newton-sparse"), FAILS)
