"""Tokens to callers: issued by this node, by other members' nodes, or by any OIDC issuer; and the logins before."""
