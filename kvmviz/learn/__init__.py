"""Exercises: what is asked, how an answer is judged, and the score of a session."""
