"""The proxy room: HTTP in and out, and the one place that knows the other rooms.

Owns every socket, the composition of the product and the path of a request. Refuses to know how a
method scores or how a rule is matched: it translates bytes into facts and outcomes into bytes.
"""
