"""Turns marks into commitments, outlooks, assessments and alerts: deals first, then teams, then forecasts."""
