"""Ad markup, one module a format: html (banner), vast (video and audio), native.

The rule kept here: what is constant of a creative is built and escaped once; a bid only fills in its ids, and they are
percent-encoded first, so nothing that a request says can end a URL, an attribute, a CDATA section or a string.
"""
