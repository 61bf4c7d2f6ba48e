"""Test support: real MAOS state made to measure, live writers, and databases with every hard value."""
