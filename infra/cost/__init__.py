"""What the deployment costs a month: `python -m infra.cost`.

`prices` reads a dated price file, `workload` says what is asked of the system, `compute` and `inference` how many tasks
and instances that takes and what each way of buying them costs, `bill` adds up the parts. The rule kept here: every
dollar is a quantity times a price of the file, and a price that nobody could verify is named wherever it is used. No
CDK and no network: plain Python.
"""
