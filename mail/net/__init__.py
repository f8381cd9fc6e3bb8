"""The network below a dialogue: names, addresses, policy, connections, TLS, certificates."""
