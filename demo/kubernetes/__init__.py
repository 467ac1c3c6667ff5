"""The tour's second form: the same shop on a real Kubernetes, `./run demo --kubernetes`.

`ground` sets up and cleans up, `tour` is what is shown.
"""
