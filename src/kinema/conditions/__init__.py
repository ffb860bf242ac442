"""Conditions as pixels: functions from the inputs of a request to arrays on the plan's canvas."""
