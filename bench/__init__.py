"""What a mesh costs: latency, throughput, connects and CPU as ratios to plain veth routing.

`scenarios` build a client, a server and the way between them in network namespaces of their own;
`load` measures one of them for a moment; `rounds` visits all of them again and again in random
order; `figures` turns the samples into ratios; `report` shows them. How to read the result is in
docs/bench.md.
"""
