"""The command line: `koppel`.

Exit codes: 0 done; 1 a defect, or something nobody expected; 2 a wrong call; 3 a person has to act
(configuration, a held plan, a refusal); 4 a system is away or Koppel is busy, try later;
130 interrupted.
"""

from koppel.cli.app import main

__all__ = ["main"]
