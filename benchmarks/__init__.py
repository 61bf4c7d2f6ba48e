"""Measurements on the whole program, as an operator runs it; none of them is a test."""
