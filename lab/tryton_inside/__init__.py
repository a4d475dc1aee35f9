"""What the lab runs inside Tryton's own virtual environment; never imported by Koppel.

Needs Tryton (GPL-3.0-or-later) and nothing of Koppel but the plain types of `lab.world`.
"""
