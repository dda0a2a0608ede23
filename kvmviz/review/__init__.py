"""A change to a struct, judged: policy, what changed, findings, both versions, and the report."""

from kvmviz.review.change import Policy
from kvmviz.review.report import Review, Reviews, review, review_all

__all__ = ["Policy", "Review", "Reviews", "review", "review_all"]
