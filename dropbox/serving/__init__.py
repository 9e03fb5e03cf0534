"""How the drop box's pages are served: own gunicorn workers on Unix sockets, made for Tor and for floods."""
