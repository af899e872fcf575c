"""Install what a CI machine lacks."""

from tools import iac, images


def install() -> int:
    """Install the IaC tool, and what builds images for another processor; return 0.

    Raises:
        UserError: see `images.prepare_engine`.
    """
    if code := iac.install_ci():
        return code
    images.prepare_engine()
    return 0
