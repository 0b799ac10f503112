"""The ordering log on etcd: `log.EtcdLog`."""
