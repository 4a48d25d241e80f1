"""A guest's serial console: the websocket, a pexpect spawn on top of it, and a shell session on top of that."""
