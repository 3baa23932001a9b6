"""Who may call, how often and from where: keys, rates, origins, a prefix, the addresses that are listened on."""
