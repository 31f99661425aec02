"""Tests of the structure check."""
