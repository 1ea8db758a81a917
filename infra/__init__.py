"""The bidder on AWS: a CDK app in Python, the Helm chart for EKS, and what a platform team runs beside them.

`environments` holds every size and limit, `app` is one page of composition, each other module is one construct of the
architecture. Nothing is looked up while synthesising, so that a template depends on the code alone. The rule kept
here: no construct reads an environment whole; it gets its own section and the resources it stands on as arguments.
"""
