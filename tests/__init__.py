"""Everything that is tested here runs for real: etcd, Postgres, node processes."""

import os

# gRPC's handlers around fork() crash the child if another thread is inside gRPC; nothing here forks and goes on.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
