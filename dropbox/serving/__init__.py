"""How the drop box's pages are served: own gunicorn workers on Unix sockets, made for Tor and for floods.

From the outside in: `launch` starts everything by a `plan`; `crews` keeps and replaces workers from the arbiter, with
which they talk over the `board`; `worker` is one of them. In it, `reception` leads each connection: `door` and `head`
read its request, `corridor` hands it to the crew of its lane, `gathering` collects a small body, `lanes` give it a
thread in fair `turns`, `answer`, `body` and `reply` are WSGI at the `pace` of a slow circuit, `prepared` pages refuse,
and `farewell` ends it. All of a worker's waiting is done by one `loop`. Beside that, `gate` bounds key derivations on
the whole machine, `memory` keeps secrets off disks, and `journal` keeps requests out of logs.
"""
