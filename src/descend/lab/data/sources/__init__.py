"""Where pictures come from: lists of addresses, folders, archives and shards."""
