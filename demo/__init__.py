"""A guided tour of a running mesh: `./run demo`.

`tour`, `nodes` and `requests` are what is shown, `watch` what of it is counted and judged, `screen`
how it looks; `shell` runs the commands that a user would; `stage` sets up and cleans up; `api` and
`load` are the shop's own program and its clients.
"""
