"""Diagnosis of the whole pipeline, from kube-apiserver to `kubectl top`: reads only, and changes nothing.

    kube-apiserver, kubelets → collecting, probing → Evidence → checks → Report → screen, text, JSON, YAML

What was seen is gathered first, once, and may be saved as a bundle; checks are plain functions over it, so that a
bundle is diagnosed as a living cluster is. `main` is the only door.
"""
