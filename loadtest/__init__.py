"""An exchange that plays against the bidder: traffic, judgement, the demo.

The rule: nothing here imports the programs it exercises. They are started as processes and met over HTTP, and what
they answer is judged from the OpenRTB specification alone.
"""
