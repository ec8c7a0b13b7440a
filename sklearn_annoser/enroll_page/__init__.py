"""A page on which a person rates the samples that tell most: the session behind it, and the page."""

from sklearn_annoser.enroll_page._page import make_app, serve
from sklearn_annoser.enroll_page._session import EnrollmentSession, Pool

__all__ = [
    "EnrollmentSession",
    "Pool",
    "make_app",
    "serve",
]
