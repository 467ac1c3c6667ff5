"""A guided tour of a running mesh: `./run demo`.

`tour` is what is shown, `screen` how, `shell` runs the commands that a user would; `stage` sets up
and cleans up; `api` and `load` are the shop's own program and its clients.
"""
