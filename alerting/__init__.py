"""Decides what is an incident and who is to hear of it. docs/alerting.md describes the policy."""
