"""Koppel inside Creme CRM: JSON for Koppel, hints to Koppel, and Koppel's block in Creme's pages.

Copyright (C) 2026 the Koppel authors. This program is free software: you can redistribute it
and/or modify it under the terms of the GNU Affero General Public License as published by the Free
Software Foundation, either version 3 of the License, or (at your option) any later version.
"""

__version__ = "0.1.0"
