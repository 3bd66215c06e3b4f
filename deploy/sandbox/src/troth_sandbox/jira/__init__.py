"""A Jira Cloud site for the loopback: what the vendor's REST and agile APIs do, so that a client can be held to it.

It shares no code with the services. Where the vendor's behaviour is not documented, the module that had to choose
says so with the word "unverified".
"""
