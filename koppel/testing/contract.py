"""The one suite that every connector passes: subclass it, give the fixtures, and it runs.

```python
class TestMyConnector(ConnectorContract):
    resource, key_field, clear_field = "customer", "name", "phone"

    @pytest.fixture
    def connector(self, faults): ...        # calls the system through faults.url
```

The fixtures are `connector`, `reconnect`, `new_fields`, `change`, `human` and `faults`, and where
they apply `impatient`, `secrets` and `children`; `koppel.testing.rules.ContractBase` says what each
must give. What `capabilities` declares is tested. What it does not declare, or what the system
lets no user do, is skipped with the reason.
"""

from __future__ import annotations

from koppel.testing.rules import ContractBase, Faults
from koppel.testing.rules_read import ChangeRules, DescribeRules, ReadRules
from koppel.testing.rules_trouble import TroubleRules
from koppel.testing.rules_write import CrashRules, WriteRules

__all__ = ["ConnectorContract", "ContractBase", "Faults"]


class ConnectorContract(
    DescribeRules, ReadRules, ChangeRules, WriteRules, CrashRules, TroubleRules
):
    """All six groups: describe, read, changes, write, idempotency and crash, trouble."""
