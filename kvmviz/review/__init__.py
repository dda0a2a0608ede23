"""A change to a struct, judged: what changed, findings about it, both versions, and the report."""

from kvmviz.review.report import Review, Reviews, review, review_all

__all__ = ["Review", "Reviews", "review", "review_all"]
