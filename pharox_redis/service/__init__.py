"""The lease service: pools, proxies and leases over HTTP, for clients in any language.

It adds no state of its own. Every request is a call or two of ``AsyncRedisStorage``, so any number
of workers and services may stand before one server, and each may be restarted at any time.

What a request passes, outermost first:

===================  ==========================================================================
``headers``          security headers on every reply
``loopback``         without API keys: only this machine is served
``limits``           bodies that are too long, or come too slowly, are refused
``access``           the key of ``X-API-Key`` and its role, before a body is read
``wire``             pydantic models of what comes in and goes out
``routes``           one module a resource, each calls the storage
``problems``         whatever went wrong, as a problem document (RFC 9457)
===================  ==========================================================================

Beside them: ``settings`` (the environment), ``api_keys``, ``acquiring`` (a client that goes away
leaves no lease), ``sweeper`` (ends what ran out), ``outcomes`` (who wants to count), ``app`` (puts
it together) and ``serve`` (runs it).

Needs the extra ``service``.
"""
