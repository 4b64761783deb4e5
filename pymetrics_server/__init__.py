"""The resource metrics API of Kubernetes (metrics.k8s.io), served from what kubelets answer.

    kube-apiserver                     (list/watch, TokenReview, SubjectAccessReview, front-proxy CA)
         | Node, PodMeta                                   | Node, PodMeta, trust
         v                                                 v
  scraper: when to ask whom --> kubelet: one GET -bytes-> decode -NodeSample-> store: rings -Usage-> api -bytes-> aggregator
                                                                                                     ^ UserInfo, Decision
                                                                                                    auth

Imports only go down the floors that pyproject.toml lists; rooms on one floor never see each other, and
`server` alone joins them. There is no public Python API: what is public are flags, HTTP, metrics, manifests.
"""
