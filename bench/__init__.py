"""Figures, never tests: how fast Koppel is beside the systems that it couples, and what it needs.

`python -m bench` prints tables and writes `bench/results/latest.json`. Rates are of use only
beside each other, from one run on one machine.
"""
