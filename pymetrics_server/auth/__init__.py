"""Who asks (UserInfo) and whether they may (Decision). Fails closed: what cannot be proven is refused."""
