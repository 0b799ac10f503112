"""etcd's users on a devnet: what every operator has, in `consortium.adapters.etcd.users`."""

from __future__ import annotations

from consortium.adapters.etcd.users import ETCD_FAILURES, add_users, allow

__all__ = ["ETCD_FAILURES", "add_users", "allow"]
