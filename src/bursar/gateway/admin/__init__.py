"""The admin API: what `bursar` shows and changes on the command line, for programs, below /api.

`endpoint` says what an endpoint is; the other modules have one concept each, and `served` puts them together. The
OpenAPI document (`openapi`) is made from the same endpoints that are served: neither can know more than the other.
"""
