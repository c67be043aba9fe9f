"""The Python client of Sigstore, with PyPI's form of attestations: runs in their own environment.

    TOKEN=… python reference_attest.py attest URL TRUSTED_ROOT FILE ATTESTATION
    WHO=… BY=… python reference_attest.py verify URL TRUSTED_ROOT FILE ATTESTATION
"""

import os
import sys
from pathlib import Path

import pypi_attestations._impl as implementation
from pypi_attestations import Attestation, Distribution
from sigstore._internal.fulcio.client import FulcioClient
from sigstore._internal.rekor.client import RekorClient
from sigstore.models import TrustedRoot
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy

what, url, root_file, file, attestation = sys.argv[1:]
root = TrustedRoot.from_file(root_file)
distribution = Distribution.from_file(Path(file))
if what == "attest":
    context = SigningContext(fulcio=FulcioClient(url), rekor=RekorClient(url), trusted_root=root)
    with context.signer(IdentityToken(os.environ["TOKEN"])) as signer:
        Path(attestation).write_text(Attestation.sign(signer, distribution).model_dump_json())
else:
    verifier = Verifier(trusted_root=root)
    implementation.Verifier.production = staticmethod(lambda offline=False: verifier)
    expected = policy.Identity(identity=os.environ["WHO"], issuer=os.environ["BY"])
    read = Attestation.model_validate_json(Path(attestation).read_text())
    print(read.verify(expected, distribution, offline=True)[0])
