"""What kube-apiserver knows: which nodes and pods exist, whom to trust, who a token is and what they may.

Nothing here gives up: what fails is tried again with back-off, 410 lists anew, and `has_synced` tells.
"""
