"""A SageMaker Runtime for one machine: the same wire, signatures checked, real containers behind it, faults on demand.

```
client ─ bytes ─▶ server ─▶ runtime ─┬─ signature   who calls, and is it what they signed
                                     ├─ wire        headers and errors as InvokeEndpoint has them
                                     ├─ faults      what is to go wrong with this call
                                     └─ endpoints ─▶ containers ─▶ POST /invocations
                              admin ─┘               reads the counts, changes the faults
```

What it does not have: asynchronous and streaming invocation, multi-model loading, shadow variants, TLS.
"""
